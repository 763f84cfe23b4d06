package httpapi

import "context"

// What Graph has here and this server has not: it delivers to webhooks (contract 2.7, 12.3, 12.4).
const (
	noWebPush = "Web Push is not offered by this server, so it has no key for it. Create a subscription with an https notificationUrl."
	noSocket  = "Notifications over a socket are not offered by this server. Create a subscription with an https notificationUrl."
)

// socketPaths are where Graph hands out sockets (contract 12.4.1).
func socketPaths() []string {
	return []string{
		"me/drive/root/subscriptions/socketIo",
		"drives/{drive}/root/subscriptions/socketIo",
		"drives/{drive}/list/subscriptions/socketIo",
		"groups/{group}/drive/root/subscriptions/socketIo",
		"sites/{site}/lists/{list}/drive/root/subscriptions/socketIo",
		"sites/{site}/lists/{list}/subscriptions/socketIo",
	}
}

// absentError is a call that Graph has and this server has not.
type absentError struct{ rule, message string }

// Error says what there is instead.
func (e *absentError) Error() string { return e.message }

// absent says so, which a 404 would not.
func absent(rule, message string) handler {
	return func(context.Context, *exchange) (answer, error) { return answer{}, &absentError{rule, message} }
}
