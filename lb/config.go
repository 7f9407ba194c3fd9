package lb

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"
)

// Config says how a Server runs. Only Admit must be set.
type Config struct {
	// TLS is the server's side of the handshake; nil is plain TCP. It is cloned. MinVersion is TLS 1.3
	// and ClientAuth is RequireAnyClientCert unless set. The server sets GetConfigForClient and
	// VerifyConnection itself. A client that offers one application protocol gets it, one that offers
	// several gets http/1.1 or none: that choice comes before the certificate, so no pool can be asked,
	// and nobody is refused for it.
	TLS *tls.Config

	// Admit chooses the pool of a connection or refuses it, best with a *Refusal. It is called twice for
	// each connection, resumed ones too: during the handshake, before the client has proved that it holds
	// its key, and again after the connection is registered under its Keys, so that a Drop between the two
	// misses nobody. What the first call grants counts, the second one can only refuse. It must not block
	// and must change nothing. Without TLS the state is the zero value.
	Admit func(tls.ConnectionState) (Admission, error)

	// PlainText says which clients are answered that begin in plain text where TLS is spoken. The zero value
	// answers none: such a connection is refused as ReasonNotTLS all the same.
	PlainText PlainText

	// ProxyFrom are the networks from which connections begin with a PROXY header, of version 1 or 2, and are refused
	// without one. The client's address is the one in it. From elsewhere a header is not taken. Nil is nowhere.
	ProxyFrom []netip.Prefix

	HandshakeTimeout time.Duration // from accept to admission; 0 is 10 s, negative is none
	IdleTimeout      time.Duration // no byte in either direction; 0 is 1 h, negative is none
	CloseTimeout     time.Duration // the same once one side has closed its direction; 0 is 60 s, negative is none
	MaxHandshakes    int           // at once, one of the source gives way that has most; 0 is 1024, negative is no bound

	// MaxConnections is how many admitted connections there may be; one more is closed with ReasonServerLimit.
	// Its last quarter is for groups (Admission.Group) that have less than a sixteenth of it. Each connection
	// takes two files, one to the client and one to the backend. 0 and negative are no bound.
	MaxConnections int
	// Shared tells whether there is more than one group: otherwise there is nobody to keep a quarter for. It is called
	// when only that is left. Nil is always.
	Shared func() bool

	// Loops is how many event loops move the bytes of established connections, on Linux. 0 is one for each processor,
	// negative is none: each direction of a connection has a goroutine of its own then, as it has on other systems and
	// where a loop cannot do it (connections that are not TCP, TLS to the backend, ciphers other than AES-GCM).
	Loops int

	// Dialer connects to backends. Nil is the zero Dialer.
	Dialer *Dialer

	// Trace hears of every connection: once Refused, or else Accepted, then Routed and FirstByte or
	// EarlyClosed if it comes so far, then Closed; and Dialled for each backend that is tried. It is called
	// from many goroutines and must not block: FirstByte and EarlyClosed come from an event loop, which other connections
	// wait for meanwhile. Nil is not called.
	Trace func(Event)
}

// PlainText is a set of protocols that begin in plain text.
type PlainText uint8

const (
	// AnswerPostgres answers PostgreSQL clients, which ask for TLS before they begin it: with yes, and with an
	// error in their own words when they go on without.
	AnswerPostgres PlainText = 1 << iota
	// AnswerHTTP tells a browser or curl that came without https what this port is, with a 400.
	AnswerHTTP
)

const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultIdleTimeout      = time.Hour
	defaultCloseTimeout     = time.Minute
	defaultMaxHandshakes    = 1024
)

func (c Config) withDefaults() Config {
	orDefault := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	orDefault(&c.HandshakeTimeout, defaultHandshakeTimeout)
	orDefault(&c.IdleTimeout, defaultIdleTimeout)
	orDefault(&c.CloseTimeout, defaultCloseTimeout)
	if c.MaxHandshakes == 0 {
		c.MaxHandshakes = defaultMaxHandshakes
	}
	if c.Dialer == nil {
		c.Dialer = &Dialer{}
	}
	if c.Trace == nil {
		c.Trace = func(Event) {}
	}
	return c
}

// Admission is what Admit grants.
type Admission struct {
	// Pool balances the connection. It must be set.
	Pool *Pool
	// Keys are the names under which Drop finds the connection. They are not changed, and may be shared.
	Keys []string
	// NotAfter is when the connection ends at the latest; the zero value is never.
	NotAfter time.Time
	// Group is whose connection it is, such as a tenant of the program, where Config.MaxConnections is shared out.
	Group string
	// Limits each give one connection, or it is closed with ReasonConnLimit or ReasonRateLimit, and
	// bound its bytes per second.
	Limits []*Limit

	IdleTimeout  time.Duration // 0 is the Config's, negative is none
	CloseTimeout time.Duration // 0 is the Config's, negative is none
	MaxLifetime  time.Duration // from accept; 0 and negative are none
	// KeepAlive is the time after which the kernel probes a quiet peer, on both sides, and between
	// probes; three without an answer close the connection. 0 is Go's own (15 s, nine probes),
	// negative is off. It is set when a connection has lasted for a second, so a listener need not set it
	// ([net.ListenConfig].KeepAlive -1), and one that does costs four more calls of the system.
	KeepAlive time.Duration
	// UserTimeout is how long either side may leave data that was sent to it unacknowledged, or its window
	// shut, before the kernel gives the connection up (RFC 5482). 0 is the system's. Linux only.
	UserTimeout time.Duration
	// ProxyFields are added to the PROXY header of version 2, with types 0xE0 to 0xEF.
	ProxyFields []TLV
	// HashKey is what IdentityHash goes by, for instance the name in the certificate. When it is empty
	// the client's address stands in.
	HashKey string
	// Tag comes back in every Event.
	Tag any
}

// EventKind is a moment in the life of a connection.
type EventKind int

// The moments that Trace hears of.
const (
	Refused     EventKind = iota // not admitted; the end of it
	Accepted                     // admitted
	Dialled                      // a backend was tried: Reason says why in vain, and is empty when it answered
	Routed                       // a backend took the connection
	FirstByte                    // the first byte of the backend reached the client
	Closed                       // the end of an admitted connection
	EarlyClosed                  // the backend ended the connection within a second, without a byte, and before the client did
)

// Event is a moment in the life of a connection, with what is known by then.
type Event struct {
	Kind   EventKind
	ID     uint64 // counts connections of this server
	Start  time.Time
	Remote netip.AddrPort // of the client; the zero value when the listener is not TCP

	// Leaf is the client's certificate in Refused, Accepted and Routed; nil when none came. It is not
	// kept for longer. In a Refused event nobody has shown that the client holds its key.
	Leaf    *x509.Certificate
	Resumed bool // the TLS session is a resumed one
	Tag     any  // of the Admission

	Reason Reason // of Refused, Dialled and Closed
	Early  bool   // of Closed: it was EarlyClosed
	Detail string // for people
	Err    error

	Backend  string // address of the backend; in Dialled, and when none took the connection, of the last one that was tried
	BytesIn  int64  // from the client
	BytesOut int64  // to the client
	// UnackedIn and UnackedOut are the bytes that the backend's or the client's kernel had not acknowledged
	// when the connection was cut off, TLS records included. They are known on Linux only, and 0 after an
	// end in order.
	UnackedIn, UnackedOut int64

	Handshake time.Duration
	Wait      time.Duration // in the queue of a full pool
	Connect   time.Duration // of the dial that succeeded
	Duration  time.Duration // since Start
}
