package lb

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const (
	sslRequest    = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	gssRequest    = "\x00\x00\x00\x08\x04\xd2\x16\x30"
	cancelRequest = "\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02"
	startup       = "\x00\x00\x00\x11\x00\x03\x00\x00user\x00me\x00\x00"
	startup32     = "\x00\x00\x00\x11\x00\x03\x00\x02user\x00me\x00\x00"
	tlsHello      = "\x16\x03\x01\x00\x05hello"
)

// pgScript is a connection that plays bytes, as its reader splits them, and keeps what is written.
type pgScript struct {
	net.Conn
	in    io.Reader
	out   bytes.Buffer
	reads int
}

func (s *pgScript) Read(p []byte) (int, error)  { s.reads++; return s.in.Read(p) }
func (s *pgScript) Write(p []byte) (int, error) { return s.out.Write(p) }

var pgCases = []struct {
	name, in  string
	out, rest string
	detail    string // of the refusal, "" when there is none
	err       error  // of the connection
	together  bool   // the refusal is TLS's own when the bytes do not come together
}{
	{name: "TLS", in: tlsHello, rest: tlsHello},
	{name: "HTTP", in: "GET / HTTP/1.1\r\n", rest: "GET / HTTP/1.1\r\n"},
	{name: "one byte", in: "G", rest: "G"},
	{name: "SSLRequest", in: sslRequest, out: "S"},
	{name: "SSLRequest and ClientHello in one", in: sslRequest + tlsHello, out: "S", rest: tlsHello},
	{name: "GSSENCRequest first", in: gssRequest + sslRequest + tlsHello, out: "NS", rest: tlsHello},
	{name: "two GSSENCRequests", in: gssRequest + gssRequest + sslRequest, out: "NNS"},
	{name: "three", in: gssRequest + gssRequest + gssRequest, out: "NN", detail: "Postgres GSSENCRequest, again and again"},
	{name: "TLS after GSSENCRequest", in: gssRequest + tlsHello, out: "N", rest: tlsHello},
	{name: "cancel", in: cancelRequest, detail: "Postgres CancelRequest"},
	{name: "plain", in: startup, out: string(pgFatal(pgPlainMessage, pgPlainHint)), detail: "Postgres without TLS"},
	{name: "plain 3.2", in: startup32, out: string(pgFatal(pgPlainMessage, pgPlainHint)), detail: "Postgres without TLS"},
	{name: "plain after GSSENCRequest", in: gssRequest + startup, out: "N" + string(pgFatal(pgPlainMessage, pgPlainHint)), detail: "Postgres without TLS"},
	{name: "injected", in: sslRequest + startup, detail: "plain text after Postgres SSLRequest", together: true},
	{name: "SSLRequest twice", in: sslRequest + sslRequest, detail: "plain text after Postgres SSLRequest", together: true},
	{name: "SSLRequest that is too long", in: "\x00\x00\x00\x09\x04\xd2\x16\x2f.", rest: "\x00\x00\x00\x09\x04\xd2\x16\x2f."},
	{name: "zeros", in: strings.Repeat("\x00", 20), rest: strings.Repeat("\x00", 20)},
	{name: "a long first message", in: "\x00\x00\x27\x11\x00\x03", rest: "\x00\x00\x27\x11\x00\x03"},
	{name: "nothing", err: io.EOF},
	{name: "half a request", in: sslRequest[:7], err: io.EOF},
}

func TestPostgresHello(t *testing.T) {
	for _, test := range pgCases {
		for how, split := range map[string]func(io.Reader) io.Reader{"at once": same, "byte by byte": iotest.OneByteReader, "EOF with the last": iotest.DataErrReader} {
			conn := &pgScript{in: split(strings.NewReader(test.in))}
			under, err := sniffPostgres(conn)
			var refusal *Refusal
			switch {
			case test.together && how == "byte by byte":
				if err != nil || under != net.Conn(conn) {
					t.Errorf("%s, %s: %v", test.name, how, err)
				}
				continue
			case test.detail != "":
				if !errors.As(err, &refusal) || refusal.Reason != ReasonNotTLS || refusal.Detail != test.detail {
					t.Errorf("%s, %s: %v", test.name, how, err)
				}
			case err != test.err:
				t.Errorf("%s, %s: %v, want %v", test.name, how, err, test.err)
			case err == nil:
				if rest, err := io.ReadAll(under); string(rest) != test.rest || err != nil {
					t.Errorf("%s, %s: rest %q, %v", test.name, how, rest, err)
				}
			}
			if conn.out.String() != test.out {
				t.Errorf("%s, %s: answered %q, want %q", test.name, how, conn.out.String(), test.out)
			}
		}
	}
}

func same(r io.Reader) io.Reader { return r }

func TestPostgresHelloCostsATLSClientNothing(t *testing.T) {
	conn := &pgScript{in: strings.NewReader(tlsHello)}
	under, err := sniffPostgres(conn)
	if err != nil || conn.reads != 1 {
		t.Fatalf("%d reads, %v", conn.reads, err)
	}
	mustRead(t, under, tlsHello)
	if conn.reads != 1 || under.(*replayed).rest != nil {
		t.Errorf("%d reads; holds %q", conn.reads, under.(*replayed).rest)
	}
	conn = &pgScript{in: io.MultiReader(strings.NewReader(sslRequest), strings.NewReader(tlsHello))}
	if under, err := sniffPostgres(conn); under != net.Conn(conn) || err != nil {
		t.Errorf("wrapped for nothing: %T, %v", under, err)
	}
}

func TestHalfAPostgresHelloEndsWithTheDeadline(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	server.SetDeadline(time.Now().Add(50 * time.Millisecond))
	go client.Write([]byte(sslRequest[:5]))
	if _, err := sniffPostgres(server); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func FuzzPostgresHello(f *testing.F) {
	for _, test := range pgCases {
		f.Add([]byte(test.in), []byte{1, 3, 8})
	}
	f.Fuzz(func(t *testing.T, in, splits []byte) {
		var pieces []io.Reader
		left := in
		for _, size := range splits {
			n := min(int(size), len(left))
			pieces, left = append(pieces, bytes.NewReader(left[:n])), left[n:]
		}
		conn := &pgScript{in: io.MultiReader(append(pieces, bytes.NewReader(left))...)}
		under, err := sniffPostgres(conn)
		if err != nil {
			if out := strings.TrimLeft(conn.out.String(), "N"); out != "" && out[0] != 'E' {
				t.Fatalf("answered %q, then %v", conn.out.String(), err)
			}
			return
		}
		rest, err := io.ReadAll(under)
		if err != nil {
			t.Fatal(err)
		}
		used := map[byte]string{'N': gssRequest, 'S': sslRequest}
		want := ""
		for _, answer := range conn.out.Bytes() {
			want += used[answer]
		}
		if string(in) != want+string(rest) || conn.out.Len() > pgMaxGSS+1 || strings.Contains(strings.TrimSuffix(conn.out.String(), "S"), "S") {
			t.Fatalf("%q: answered %q, left %q", in, conn.out.String(), rest)
		}
	})
}

// pgServer answers one query with one row, as little as psql needs.
func pgServer(conn net.Conn) {
	message := func(kind byte, body string) {
		b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
		conn.Write(append(b, body...))
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(conn, size); err != nil {
		return
	}
	io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size))-4)
	message('R', "\x00\x00\x00\x00") // AuthenticationOk
	message('Z', "I")
	if _, err := io.ReadFull(conn, size[:1]); err != nil || size[0] != 'Q' {
		return
	}
	io.ReadFull(conn, size)
	io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size))-4)
	message('T', "\x00\x01who\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00")
	message('D', "\x00\x01\x00\x00\x00\x05hello")
	message('C', "SELECT 1\x00")
	message('Z', "I")
	io.Copy(io.Discard, conn)
}

// pgUpstream is a TLS port for Postgres clients that hold a certificate of the authority.
func pgUpstream(t *testing.T, a *authority) string {
	cfg := &tls.Config{Certificates: []tls.Certificate{a.Issue(t, "localhost")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()}
	// The server's test certificates name no use, so they do for clients too.
	return upstream(t, func(raw *net.TCPConn) {
		under, err := sniffPostgres(raw)
		if err != nil {
			raw.CloseWrite()
			io.Copy(io.Discard, raw) // as hangUp does: a reset would overtake the answer
			return
		}
		conn := tls.Server(under, cfg)
		defer conn.Close()
		pgServer(conn)
	})
}

func TestPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed")
	}
	a := newAuthority(t)
	host, port, _ := net.SplitHostPort(pgUpstream(t, a))
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mine := a.Issue(t, "me")
	key, err := x509.MarshalPKCS8PrivateKey(mine.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	base := "host=localhost hostaddr=" + host + " port=" + port + " user=me dbname=x connect_timeout=5" +
		" sslrootcert=" + write("ca.pem", "CERTIFICATE", a.Cert.Raw) + " sslcert=" + write("cert.pem", "CERTIFICATE", mine.Certificate[0]) +
		" sslkey=" + write("key.pem", "PRIVATE KEY", key)
	for mode, want := range map[string]string{
		"verify-full": "hello", "allow": "hello", // allow begins without TLS and is told to come back with it
		"disable": "FATAL:  " + pgPlainMessage + "\nHINT:  " + pgPlainHint,
	} {
		cmd := exec.CommandContext(shortContext(t, patience), psql, "-XAtw", "-c", "select 'hello'", base+" sslmode="+mode)
		cmd.Env = []string{"HOME=" + dir, "LC_ALL=C"}
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) || (err == nil) != (want == "hello") {
			t.Errorf("sslmode=%s: %v, %s", mode, err, out)
		}
	}
}

// sniffPostgres is what a server of crypto/tls would do with answerPostgres.
func sniffPostgres(conn net.Conn) (net.Conn, error) {
	rest, err := answerPostgres(conn)
	if err != nil || len(rest) == 0 {
		return conn, err
	}
	return &replayed{Conn: conn, rest: rest}, nil
}

// replayed is a connection of which the first bytes have been read already.
type replayed struct {
	net.Conn
	rest []byte
}

// Read implements net.Conn.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if len(r.rest) == 0 {
		r.rest = nil // frees the buffer
	}
	return n, nil
}

// Without Config.PlainText nobody who begins in plain text gets a byte.
func TestPlainTextIsAnsweredOnlyOnDemand(t *testing.T) {
	for name, begins := range map[string]string{"Postgres": "\x00\x00\x00\x08\x04\xd2\x16\x2f", "HTTP": "GET / HTTP/1.1\r\n\r\n"} {
		const neither = ^(AnswerPostgres | AnswerHTTP)
		r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo))), PlainText: neither})
		conn := r.dialPlain(t)
		mustWrite(t, conn, begins)
		answer, _ := io.ReadAll(conn)
		if len(answer) > 0 && answer[0] != 21 { // a TLS alert may come
			t.Errorf("%s was answered %q", name, answer)
		}
		if e := r.next(t, Refused, 0); e.Reason != ReasonNotTLS {
			t.Errorf("%s: reason %s, want %v", name, e.Reason, ReasonNotTLS)
		}
	}
}
