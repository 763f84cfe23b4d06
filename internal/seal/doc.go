// Package seal encrypts the resource data of rich notifications, so that only the holder of a subscription's
// private key can read it (contract section 13).
//
// A subscription brings an X.509 certificate with an RSA key. ParseCertificate decides whether it will do, once,
// when the subscription is made; AppendContent seals one item under it and appends the item's encryptedContent:
//
//	symmetric key    32 random bytes, fresh for every item             (13.4)
//	data             base64 of AES-256-CBC with PKCS #7 padding; the
//	                 IV is the key's first 16 bytes                    (13.2, 13.3)
//	dataKey          base64 of RSA-OAEP (SHA-1, MGF1 with SHA-1) of
//	                 the key under the certificate's key               (13.5)
//	dataSignature    base64 of HMAC-SHA256 over the bytes of the
//	                 ciphertext, with the same key                     (13.6)
//	encryptionCertificateId, -Thumbprint    which certificate it was   (13.1)
//
// The scheme is Graph's, receivers depend on every detail of it, and what looks odd in it (an IV that is part of
// the key, one key for two purposes, SHA-1 inside OAEP) is safe as it is used here: a key seals one message, and
// OAEP needs no collision resistance of its hash. The primitives are the standard library's.
//
// Nothing here touches the network, the disk or a clock. Everything may be used concurrently. Errors never hold a
// part of what was passed in: it may be a private key, sent by mistake.
//
// Beside it, in packages of their own: token makes the validationTokens that prove who sent a notification, and
// vault keeps secrets and resource data sealed while they lie on our own disk.
package seal
