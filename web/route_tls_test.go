package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer signs certificates of routes and for routes.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "routes"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &issuer{cert, key}
}

func (i *issuer) pem() string { return string(pemOf("CERTIFICATE", i.cert.Raw)) }

func (i *issuer) issue(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, own.Public(), i.key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(own)
	must(t, err)
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", keyDER)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// proxied is what a route read from a PROXY header of version 2 (the protocol's specification, section 2.2).
type proxied struct {
	source string
	fields map[byte][]byte
	peer   string // who showed a certificate over TLS

	resumed bool // its TLS session
}

func readProxyHeader(conn net.Conn) (*proxied, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, err
	}
	local := head[12] == 0x20 && head[13] == 0
	if string(head[:12]) != "\r\n\r\n\x00\r\nQUIT\n" || !local && (head[12] != 0x21 || head[13] != 0x11) {
		return nil, io.ErrUnexpectedEOF
	}
	if local {
		return &proxied{source: "local"}, nil
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(conn, rest); err != nil {
		return nil, err
	}
	p := &proxied{fields: map[byte][]byte{}, source: net.IP(rest[:4]).String()}
	for rest = rest[12:]; len(rest) >= 3; {
		n := int(binary.BigEndian.Uint16(rest[1:]))
		p.fields[rest[0]] = rest[3 : 3+n]
		rest = rest[3+n:]
	}
	return p, nil
}

// guarded is a route that wants a PROXY header, then TLS with a certificate of the issuer, and echoes.
func guarded(t *testing.T, i *issuer, name string) (dest string, heard chan *proxied) {
	t.Helper()
	certificate, key := i.issue(t, name)
	pair, err := tls.X509KeyPair(certificate, key)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(i.cert)
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	heard = make(chan *proxied, 10)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				header, err := readProxyHeader(conn)
				secure := tls.Server(conn, cfg)
				if err != nil || secure.Handshake() != nil {
					return
				}
				header.peer = secure.ConnectionState().PeerCertificates[0].Subject.CommonName
				header.resumed = secure.ConnectionState().DidResume
				heard <- header
				io.Copy(secure, secure)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String(), heard
}

// A route gets a PROXY header, then TLS in which both sides show who they are.
func TestRouteBehindProxyHeaderAndTLS(t *testing.T) {
	f := start(t)
	c, address, routes := f.signUp("testuser"), f.balance(), newIssuer(t)
	dest, heard := guarded(t, routes, "db.internal")
	id := c.frontend(dest)
	cert, _ := c.identity(id, "program")
	own, key := routes.issue(t, "balancer")
	patch := func(routeTLS map[string]any) answer {
		body, err := json.Marshal(map[string]any{"proxyProtocol": 2, "routeTls": routeTLS})
		must(t, err)
		return c.call("PATCH", "/api/v1/client/frontend/"+id, string(body))
	}
	good := map[string]any{"mode": "verify", "serverName": "db.internal", "ca": routes.pem(), "certificate": string(own), "key": string(key)}
	a := patch(good)
	if a.status != 200 || strings.Contains(a.body, "PRIVATE KEY") || a.object(t)["routeTls"].(map[string]any)["hasKey"] != true {
		t.Fatalf("got %d %s, want 200 that has a key and does not show it", a.status, a.body)
	}
	f.connect(address, cert)
	p := <-heard
	accessKey := cert.Leaf.Subject.CommonName
	if p.source != "127.0.0.1" || p.peer != "balancer" || string(p.fields[0xE5]) != c.uuid || string(p.fields[0xE6]) != id {
		t.Errorf("source %s, peer %s, client %s, frontend %s", p.source, p.peer, p.fields[0xE5], p.fields[0xE6])
	}
	if ssl := p.fields[0x20]; !bytes.Contains(ssl, []byte(accessKey)) || !bytes.Contains(ssl, cert.Leaf.Raw) {
		t.Error("the header lacks the client's name or certificate")
	}

	// Checks say that they are the balancer's own, and go through the same door.
	if a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"check":{"kind":"tls","intervalSec":1,"timeoutSec":1,"rise":1}}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	if p := <-heard; p.source != "local" || p.peer != "balancer" {
		t.Errorf("a check: %+v", p)
	}
	c.becomes(id, dest, "up")
	c.call("PATCH", "/api/v1/client/frontend/"+id, `{"check":null}`)

	// The key stays when it is not sent again, here and in a page's form.
	if a := patch(map[string]any{"serverName": "other.internal"}); a.status != 200 || a.object(t)["routeTls"].(map[string]any)["hasKey"] != true {
		t.Fatalf("got %d %s, want 200 with the key still there", a.status, a.body)
	}
	if _, err := f.echo(address, clientOf(cert)); err == nil {
		t.Error("a route with another name was trusted")
	}
	_, all := c.routes(id)
	if all[dest]["reason"] != "route-tls" {
		t.Errorf("got %v, want route-tls", all[dest])
	}
	other, _ := routes.issue(t, "other")
	for name, wrong := range map[string]map[string]any{
		"another certificate": {"certificate": string(other)}, "no PEM": {"key": "secret"}, "a key alone": {"certificate": nil, "key": string(key)},
	} {
		if a := patch(wrong); a.status != 422 || strings.Contains(a.body, "secret") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := patch(map[string]any{"mode": nil, "certificate": nil}); a.status != 200 || a.object(t)["routeTls"].(map[string]any)["hasKey"] != false {
		t.Errorf("got %d %s, want 200 without a key", a.status, a.body)
	}
}

// The form of the settings takes a certificate with its key, keeps the key when it is left empty, and never
// shows it again, not beside an error either.
func TestRouteCertificateInSettings(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := []string{"Cookie", f.cookieOf(c)}
	id := c.frontend("10.0.0.1:80")
	path := "/frontends/" + id + "/settings"
	own, key := newIssuer(t).issue(t, "balancer")
	hasKey := func() bool {
		over := c.call("GET", "/api/v1/client/frontend/"+id, "").object(t)["routeTls"].(map[string]any)
		return over["hasKey"].(bool) && strings.TrimSpace(over["certificate"].(string)) == strings.TrimSpace(string(own))
	}
	with := map[string]string{"routeTls.mode": "verify", "routeTls.certificate": string(own), "routeTls.key": string(key)}
	with["idleTimeoutSec"] = "soon"
	if a := f.postForm(path, f.settings(id, cookie, with).Encode(), cookie...); a.status != 422 || strings.Contains(a.body, "PRIVATE KEY") || hasKey() {
		t.Fatalf("with another field that is wrong: %d %s", a.status, a.body)
	}
	with["idleTimeoutSec"] = "90"
	if a := f.postForm(path, f.settings(id, cookie, with).Encode(), cookie...); a.status != 303 || !hasKey() {
		t.Fatalf("got %d %s, want 303 and a key that is still there", a.status, a.body)
	}
	if page := f.do("GET", path, nil, cookie...).body; strings.Contains(page, "PRIVATE KEY") || !strings.Contains(page, "BEGIN CERTIFICATE") {
		t.Error("the page shows the key, or not the certificate")
	}
	if a := f.postForm(path, f.settings(id, cookie, map[string]string{"idleTimeoutSec": "91"}).Encode(), cookie...); a.status != 303 || !hasKey() {
		t.Fatalf("with the key left empty: %d %s", a.status, a.body)
	}
	older := f.settings(id, cookie, map[string]string{"idleTimeoutSec": "92"})
	older.Del("routeTls.certificate") // a page from before there was such a field
	if a := f.postForm(path, older.Encode(), cookie...); a.status != 303 || !hasKey() {
		t.Fatalf("without the field: %d %s", a.status, a.body)
	}
}

// A change of something else leaves TLS to the routes alone: sessions are resumed, and checks go on counting.
func TestChangesKeepWhatTheyDoNotConcern(t *testing.T) {
	f := start(t)
	c, address, routes := f.signUp("testuser"), f.balance(), newIssuer(t)
	dest, heard := guarded(t, routes, "db.internal")
	id := c.frontend(dest)
	cert, _ := c.identity(id, "program")
	own, key := routes.issue(t, "balancer")
	patch := func(change map[string]any) {
		t.Helper()
		body, err := json.Marshal(change)
		must(t, err)
		if a := c.call("PATCH", "/api/v1/client/frontend/"+id, string(body)); a.status != 200 {
			t.Fatalf("%d %s, want 200", a.status, a.body)
		}
	}
	over := map[string]any{"mode": "verify", "serverName": "db.internal", "ca": routes.pem(), "certificate": string(own), "key": string(key)}
	check := map[string]any{"kind": "tls", "intervalSec": 3600, "timeoutSec": 5}
	patch(map[string]any{"proxyProtocol": 2, "routeTls": over, "check": check})
	next := func() *proxied {
		for {
			select {
			case p := <-heard:
				if p.source != "local" {
					return p
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no connection came")
			}
		}
	}
	f.connect(address, cert)
	next()
	checkedSince := func() any { _, all := c.routes(id); return all[dest]["since"] }
	for i := range 3 {
		before := checkedSince()
		patch(map[string]any{"name": strings.Repeat("x", i+1)})
		f.connect(address, cert)
		if p := next(); !p.resumed || p.peer != "balancer" {
			t.Errorf("after change %d: resumed %v, shown to it %q", i, p.resumed, p.peer)
		}
		if after := checkedSince(); !reflect.DeepEqual(before, after) {
			t.Errorf("after change %d the route is up since %v, was since %v", i, after, before)
		}
	}
}
