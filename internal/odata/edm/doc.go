// Package edm reads and compares the primitive values of OData's entity data model as they are written in JSON and in
// filters: numbers of any length, instants, durations, and texts without regard to case.
//
// Nothing here allocates, but for AppendFolded where its destination is too small. Everything is a pure function.
package edm
