package web

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// The page of a certificate says who uses it, who did, who was turned away with it, and what was done with it.
func TestCertificatePageSaysWhoUsesIt(t *testing.T) {
	f := start(t)
	address := f.balance()
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "reports")
	other, otherSerial := c.identity(id, "other")
	first := f.connect(address, cert)
	f.connect(address, cert)
	f.connect(address, other)
	read := func() string {
		return f.do("GET", "/frontends/"+id+"/certificates/"+serial, nil, "Cookie", cookie).body
	}
	// becomes waits until the page has what a program has just done.
	becomes := func(want string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); !strings.Contains(read(), want); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the page lacks %q", want)
			}
		}
	}
	for _, want := range []string{"All 2, to close them", "now, 2 connections", "issued the certificate"} {
		becomes(want)
	}
	for _, foreign := range []string{"Ended lately", "Why programs were turned away", otherSerial} {
		if strings.Contains(read(), foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
	live := f.streamOf(t, "/events?view=certificate&id="+id+"&serial="+serial, cookie)
	live.says("All 2, to close them")
	first.Close()
	live.says("Ended lately")
	c.revoke(id, serial, "?reason=superseded")
	if conn, err := tls.Dial("tcp", address, clientOf(cert)); err == nil {
		conn.Read(make([]byte, 1)) // TLS 1.3 says no after the handshake
		conn.Close()
	}
	for _, want := range []string{"No open connections", "Why programs were turned away", "Certificate revoked", "revoked 1 certificate"} {
		becomes(want)
	}
}
