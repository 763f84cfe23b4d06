// Package filter decides which resources a query option means: $filter and $search, compiled once and asked for
// every change.
//
// # The language
//
// A Filter is written in the boolean expressions of OData 4.01, of which it knows
//
//	comparison    eq ne gt ge lt le, in ('a','b'), has 'Flag'
//	logic         and or not ( )
//	functions     contains startswith endswith tolower toupper trim length date year month day hour minute second
//	collections   mentions/any(u: u/mentioned/user/id eq 'x'), all, any(), attachments/$count
//	properties    subject, from/emailAddress/address, $it/subject, u and u/… within a collection
//	literals      null true false, 12 -0.5 1e3, 'O''Neil', 2026-01-31, 2026-01-31T12:00:00.5+02:00,
//	              duration'P1DT2H', 6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01, microsoft.graph.importance'High'
//
// Operators and functions are taken in any case. Arithmetic, casts, aliases and the clock are not known. Within any and
// all a path begins with their own variable, so that what an evaluation costs is bounded by the length of the filter
// times the length of the resource. Length, depth and number of nodes are limited. Errors are *odata.SyntaxError and
// point at the character.
//
// # The meaning
//
// A filter is asked of the JSON of a resource, of which there is no schema: what a property is shows when it is there.
//
//   - A property that is missing is null, and so is whatever lies below it. null equals null and nothing else, is
//     neither less nor greater than anything, and a function of null is null. and, or and not know three answers, as
//     in SQL; a resource is meant when the last answer is true.
//   - Strings, names of properties and members of enumerations are compared without regard to case, by Unicode's simple
//     folding, as Exchange and Entra do: importance eq 'High' finds "high". That makes tolower and toupper the
//     identity.
//   - Values of different kinds are not equal, and neither is less: 5 is not '5'. But a string is read as what it is
//     compared with where JSON has no such kind: an instant, a duration, a GUID, an enumeration.
//   - Numbers are compared exactly, as decimals of any length.
//   - Instants are compared as instants, whatever their offsets. A date is its first moment; without an offset, and for
//     hour and its like, the offset is zero. Fractions are read to the nanosecond.
//   - has asks whether each of its members is among those, separated by commas, of the property. any of a collection
//     that is missing is false, all is true.
//
// A Search is words that must all be there, and "phrases in quotes", anywhere in the properties that the row searches.
//
// Filters and searches are immutable and may be asked by many goroutines at once. They never fail: JSON that is broken
// is read as far as it goes. Everything here is a pure function.
package filter
