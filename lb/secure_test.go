package lb

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A client that is sent no byte still gets its session ticket, with the end of the stream.
func TestTicketComesWithTheEnd(t *testing.T) {
	closes := upstream(t, func(conn *net.TCPConn) { io.Copy(io.Discard, conn) })
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(closes))})
	cfg := r.clientConfig(t, "client")
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		conn, err := r.dialTLS(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if resumed := conn.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed is %v, want %v", i, resumed, (i > 0))
		}
		conn.Write([]byte("x"))
		conn.CloseWrite()
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

// opensslClient runs openssl s_client against r and types each line once the one before was echoed. A
// line of one letter is a command.
func opensslClient(t *testing.T, r *rig, lines []string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	writePair(t, r.authority.Issue(t, "openssl"), dir)
	args = append([]string{"s_client", "-connect", r.addr, "-cert", dir + "/cert.pem", "-key", dir + "/key.pem"}, args...)
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &lockedText{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: apt-get install openssl", err)
	}
	changes := 0
	for _, line := range lines {
		io.WriteString(in, line+"\n")
		if len(line) > 1 {
			eventually(t, "echo of "+line, func() bool { return strings.Contains(out.String(), line) })
		} else {
			changes++ // the next line is typed once this one was read: a command stands alone
			eventually(t, "key update", func() bool { return strings.Count(out.String(), "KEYUPDATE") == changes })
		}
	}
	in.Close()
	cmd.Wait()
	return out.String()
}

func writePair(t *testing.T, pair tls.Certificate, dir string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// lockedText is written by one goroutine and read by another.
type lockedText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// K asks for new keys of both sides, k announces new ones of the client.
func TestOpensslChangesKeys(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo)))})
	text := opensslClient(t, r, []string{"before", "K", "between", "k", "then", "K", "K", "after"})
	if strings.Count(text, "KEYUPDATE") < 4 {
		t.Errorf("keys were not changed:\n%s", text)
	}
}

func TestEveryCipherSuiteCarriesData(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo)))})
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		if text := opensslClient(t, r, []string{"hello " + suite}, "-ciphersuites", suite); !strings.Contains(text, "Cipher is "+suite) {
			t.Errorf("%s: %s", suite, text)
		}
	}
}
