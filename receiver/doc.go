// Package receiver takes Microsoft Graph change notifications in a Go program: those of Graph itself, of Heliograph,
// and of whatever speaks the same contract. It needs nothing but the standard library.
//
// # In a minute
//
// A Handler is an http.Handler for the notificationUrl of your subscriptions, and for their lifecycleNotificationUrl
// when that is the same:
//
//	h, err := receiver.New(receiver.Options{
//		ClientState: receiver.FixedClientState("what you sent as clientState"),
//		OnChange: func(ctx context.Context, n *receiver.Notification) error {
//			log.Println(n.ChangeType, n.Resource)
//			return nil
//		},
//	})
//	…
//	http.Handle("POST /notify", h)
//
// It answers the endpoint validation (the POST with a validationToken that comes while you create the subscription),
// checks the clientState of each notification, and calls OnChange for each. When OnChange returns an error the sender
// is asked to come again. What is refused, and why, is told to OnRefused.
//
// # With resource data
//
// A subscription with includeResourceData brings the changed resource along, encrypted for you and proven by tokens:
//
//	me, err := receiver.SelfSigned(receiver.SelfSignedOptions{}) // once; keep both PEMs
//	… // me.Fields goes into the subscription
//	keys := new(receiver.Keys)
//	err = keys.AddPEM(me.EncryptionCertificateID, me.CertificatePEM, me.KeyPEM)
//	tokens, err := receiver.NewTokenVerifier(receiver.TokenOptions{AppIDs: []string{"your application's id"}})
//	h, err := receiver.New(receiver.Options{Keys: keys, Tokens: tokens, …})
//
// Then n.Data is the resource's JSON, and n.Decode reads it. Keys holds any number of keys by the id that you gave
// each certificate: to rotate, add the new one, PATCH your subscriptions, and remove the old one a day later.
//
// # What the sender hears
//
//	200  the endpoint validation, echoed
//	202  every notification was handled, or will never be: a wrong clientState or a bad signature does not get better
//	503  something may be better next time: a handler's error, a key that is not there yet, keys of the issuer that
//	     cannot be fetched; the sender comes again, for up to four hours. What was handled in the same request is
//	     remembered by its id and not handed over again
//	400, 405, 413  not a notification
//
// Graph gives you three seconds. With AnswerFirst the answer goes out when all is checked and decrypted, and your
// functions run behind it, one after the other, in the order of arrival.
//
// # Piece by piece
//
// ParseCollection, Decrypt and VerifyTokens are the steps by themselves, for a server that has its own way of handling
// requests, for a queue reader, or for a test.
//
// Everything may be used concurrently.
package receiver
