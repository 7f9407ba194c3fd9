package lb

import (
	"encoding/binary"
	"net"
)

// Postgres clients do not begin with TLS: they ask for it in plain text and wait for one byte of an answer
// (PostgreSQL documentation, "SSL Session Encryption" in "Message Flow"; the codes are in "Message
// Formats"). That request cannot be taken for TLS, whose first byte is 0x16, so every TLS port can answer
// it without being told that its clients speak Postgres, see Config.PlainText.

// Codes that stand where a protocol version would.
const (
	pgCancelCode = 80877102
	pgSSLCode    = 80877103
	pgGSSCode    = 80877104
	pgMajor      = 3 // the upper half of the version that clients speak
)

const (
	pgRequestSize = 8     // length and code
	pgMaxStartup  = 10000 // a Postgres server takes no longer first message either
	pgMaxGSS      = 2     // a client asks once
	tlsHandshake  = 0x16  // the first byte of a ClientHello (RFC 8446, section 5.1)
	sniffSize     = 2048  // holds a ClientHello, so that TLS needs no read of its own for it
)

// pgHello is what the first bytes of a connection mean to a Postgres server.
type pgHello int

const (
	pgUndecided pgHello = iota // more bytes are needed
	pgNone                     // not Postgres
	pgSSL
	pgGSS
	pgCancel
	pgStartup
)

// pgHelloOf decides as soon as the bytes allow it, so that nobody who speaks something else is waited for.
func pgHelloOf(b []byte) pgHello {
	for i := range min(len(b), 2) {
		if b[i] != 0 {
			return pgNone // longer than any first message
		}
	}
	if len(b) < 4 {
		return pgUndecided
	}
	length := binary.BigEndian.Uint32(b)
	if length < pgRequestSize || length > pgMaxStartup {
		return pgNone
	}
	if len(b) < pgRequestSize {
		return pgUndecided
	}
	switch code := binary.BigEndian.Uint32(b[4:]); {
	case code == pgSSLCode && length == pgRequestSize:
		return pgSSL
	case code == pgGSSCode && length == pgRequestSize:
		return pgGSS
	case code == pgCancelCode:
		return pgCancel
	case code>>16 == pgMajor:
		return pgStartup
	}
	return pgNone
}

// answerPostgres answers a Postgres client that asks for TLS in plain text, and returns what it has read
// but not used: the beginning of the TLS stream, of every client. The error is a *Refusal for a client that
// does not go on to TLS, or that of the connection. The caller sets the deadline.
//
// Those bytes came in plain text and may only ever be read as TLS records; taken for decrypted
// ones they would let a stranger speak first in the client's name (CVE-2021-23222).
func answerPostgres(conn net.Conn) (rest []byte, err error) {
	b := make([]byte, 0, sniffSize)
	for gss := 0; ; {
		switch pgHelloOf(b) {
		case pgUndecided:
			n, err := conn.Read(b[len(b):cap(b)])
			b = b[:len(b)+n]
			if err != nil && n == 0 {
				return nil, err
			}
		case pgGSS:
			if gss++; gss > pgMaxGSS {
				return nil, &Refusal{Reason: ReasonNotTLS, Detail: "Postgres GSSENCRequest, again and again"}
			}
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return nil, err
			}
			b = b[pgRequestSize:]
		case pgSSL:
			return startTLS(conn, b[pgRequestSize:])
		case pgCancel:
			return nil, &Refusal{Reason: ReasonNotTLS, Detail: "Postgres CancelRequest"}
		case pgStartup:
			_, err := conn.Write(pgFatal(pgPlainMessage, pgPlainHint))
			return nil, &Refusal{Reason: ReasonNotTLS, Detail: "Postgres without TLS", Err: err}
		default:
			return b, nil
		}
	}
}

// startTLS agrees to TLS. What the client sent ahead of the answer can only be a ClientHello.
func startTLS(conn net.Conn, ahead []byte) ([]byte, error) {
	if len(ahead) > 0 && ahead[0] != tlsHandshake {
		return nil, &Refusal{Reason: ReasonNotTLS, Detail: "plain text after Postgres SSLRequest"}
	}
	if _, err := conn.Write([]byte{'S'}); err != nil {
		return nil, err
	}
	return ahead, nil
}

const (
	// invalid_authorization_specification is what a Postgres server says to a client that has to use TLS
	// and does not; with sslmode=allow a client then tries again with TLS.
	pgSQLState     = "28000"
	pgPlainMessage = "this port speaks TLS only and asks for a client certificate"
	pgPlainHint    = "Use sslmode=verify-full with sslrootcert, sslcert and sslkey."
)

// pgFatal is an ErrorResponse that ends the connection.
func pgFatal(message, hint string) []byte {
	fields := "SFATAL\x00VFATAL\x00C" + pgSQLState + "\x00M" + message + "\x00H" + hint + "\x00\x00"
	b := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(fields)))
	return append(b, fields...)
}
