// Package pki is the authority of XLB: it issues the identities that programs present, and the
// certificates that the servers present, and checks them.
//
//	authority, err := pki.NewAuthority(time.Now())
//	key, err := pki.GenerateKey(pki.RSA3072)
//	cert, err := authority.IssueClient(pki.ClientRequest{
//		ClientID: client, FrontendID: frontend, AccessKey: accessKey, PublicKey: key.Public(), Now: time.Now(),
//	})
//
// Bytes in, bytes out: it reads and writes no files, opens no sockets and keeps no records. It starts no
// goroutine either; what has to go on in the background offers Run.
//
// A client certificate is for clientAuth only. With serverAuth one tenant could play the server to
// another tenant's program, because several programs check the chain and not the name.
package pki
