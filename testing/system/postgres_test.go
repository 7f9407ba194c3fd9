package system

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgresServer is a real PostgreSQL on loopback with a user and a database called xlb.
func postgresServer(t *testing.T) (address string) {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is missing: apt-get install postgresql")
	}
	bin, data := found[len(found)-1], t.TempDir()
	address = freePort(t)
	_, port, _ := net.SplitHostPort(address)
	as := postgresUser(t, data)
	initdb := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "-D", data, "-U", "xlb", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = as, data
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", data)
	cmd.SysProcAttr, cmd.Dir = as, data
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGQUIT) // "immediate shutdown": takes the processes that it started along
		cmd.Wait()
	})
	eventually(t, "PostgreSQL answers", func() bool {
		return exec.CommandContext(t.Context(), "psql", "-h", "127.0.0.1", "-p", port, "-U", "xlb", "-c", "select 1", "postgres").Run() == nil
	})
	return address
}

// postgresUser is who runs PostgreSQL: it refuses to run as root.
func postgresUser(t *testing.T, data string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	if err := os.Chown(data, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(data), 0o755); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// An unmodified psql asks for TLS in plain text first and verifies the server by name.
func TestPostgresThroughPsql(t *testing.T) {
	s := start(t, dataDir(t))
	database := postgresServer(t)
	c := s.signUp("testuser")
	identity := c.bundle(c.frontend(database))
	_, port, _ := net.SplitHostPort(s.lb)
	psql := func(options, query string) (string, error) {
		conninfo := "host=localhost port=" + port + " sslmode=verify-full sslcert=cert.pem sslkey=key.pem sslrootcert=ca.pem user=xlb dbname=postgres connect_timeout=10 " + options
		out, err := runIn(t, identity, "psql", "-X", "-At", conninfo, "-c", query)
		return strings.TrimSpace(out), err
	}
	for _, gss := range []string{"", "gssencmode=prefer"} {
		if out, err := psql(gss, "select 6*7"); err != nil || out != "42" {
			t.Errorf("%s: %v %s", gss, err, out)
		}
	}
	if out, err := psql("", "select length(repeat('x', 5000000)), repeat('x', 5000000)"); err != nil || len(out) != len("5000000|")+5_000_000 {
		t.Errorf("5 MB: %v, %d bytes", err, len(out))
	}
	if out, err := psql("sslmode=disable", "select 1"); err == nil {
		t.Errorf("without TLS: %s", out)
	}
	if out, err := psql("sslcert=none sslkey=none", "select 1"); err == nil {
		t.Errorf("without a certificate: %s", out)
	}
}

// Numbers of PostgreSQL's protocol (its documentation, "Message Formats").
const (
	sslRequest    = 80877103
	gssRequest    = 80877104
	cancelRequest = 80877102
)

func request(code uint32, more ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(more)))
	return append(binary.BigEndian.AppendUint32(b, code), more...)
}

func (s *server) plain(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.lb, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// postgresHello starts a session of PostgreSQL and expects it to ask for nothing (trust).
func postgresHello(conn net.Conn) error {
	body := "\x00\x03\x00\x00user\x00xlb\x00database\x00postgres\x00\x00"
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)); err != nil {
		return err
	}
	answer := make([]byte, 9) // AuthenticationOk: R, length 8, 0
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[0] != 'R' || binary.BigEndian.Uint32(answer[5:]) != 0 {
		return fmt.Errorf("it answered %q", answer)
	}
	return nil
}

// Newer drivers begin with TLS at once and name the protocol (sslnegotiation=direct); older ones ask
// whether encryption by GSSAPI is to be had before they ask for TLS.
func TestPostgresNegotiations(t *testing.T) {
	s := start(t, dataDir(t))
	database := postgresServer(t)
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(database))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: s.roots(), ServerName: "localhost", Certificates: []tls.Certificate{pair}, NextProtos: []string{"postgresql"}}
	for name, preface := range map[string][]byte{"direct": nil, "ssl": request(sslRequest), "gss, then ssl": request(gssRequest)} {
		t.Run(name, func(t *testing.T) {
			conn := s.plain(t)
			answer := make([]byte, 1)
			if preface != nil {
				conn.Write(preface)
				io.ReadFull(conn, answer)
			}
			if name == "gss, then ssl" {
				if answer[0] != 'N' {
					t.Fatalf("GSSENCRequest was answered with %q", answer)
				}
				conn.Write(request(sslRequest))
				io.ReadFull(conn, answer)
			}
			if preface != nil && answer[0] != 'S' {
				t.Fatalf("SSLRequest was answered with %q", answer)
			}
			secure := tls.Client(conn, cfg)
			if err := secure.Handshake(); err != nil {
				t.Fatal(err)
			}
			if got := secure.ConnectionState().NegotiatedProtocol; got != "postgresql" {
				t.Errorf("ALPN is %q, want %q", got, "postgresql")
			}
			if err := postgresHello(secure); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("cancel", func(t *testing.T) {
		conn := s.plain(t)
		conn.Write(request(cancelRequest, 0, 0, 0, 1, 0, 0, 0, 2))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("it was answered: %d bytes, %v", n, err)
		}
	})
}
