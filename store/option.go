package store

// Values of Check.Kind and RouteTLS.Mode, each with none for the empty text.
const (
	CheckTCP, CheckTLS, CheckSend, CheckHTTP = "tcp", "tls", "send", "http"
	RouteTLSVerify, RouteTLSInsecure         = "verify", "insecure"
)

// EjectEarlyClose is the value of Options.EjectOn by which a route also fails that takes a connection and
// ends it within a second without a byte. With the empty text only connects count.
const EjectEarlyClose = "early-close"

// Values of Route.State, with ready for the empty text.
const RouteDrain, RouteMaintenance = "drain", "maintenance"

// Options are the settings of a frontend beyond its routes. Times are seconds; what 0 means stands with
// each. They are kept as they were given.
type Options struct {
	MaxConnections    int   `json:"maxconnections"`    // at once, 0 for no bound
	ConnectionsPerSec int   `json:"connectionspersec"` // new ones, 0 for no bound
	BytesPerSec       int64 `json:"bytespersec"`       // both directions together, 0 for no bound

	IdleTimeoutSec      int `json:"idletimeoutsec"`
	HalfCloseTimeoutSec int `json:"halfclosetimeoutsec"`
	MaxLifetimeSec      int `json:"maxlifetimesec"`              // 0 for none
	KeepAliveSec        int `json:"keepalivesec"`                // 0 for off
	TCPUserTimeoutSec   int `json:"tcpusertimeoutsec,omitempty"` // 0 for the system's

	QueueLimit      int `json:"queuelimit"` // 0 for no queue
	DrainTimeoutSec int `json:"draintimeoutsec"`

	Check        Check    `json:"check"`
	EjectAfter   int      `json:"ejectafter"`        // failures in a row, 0 for never
	EjectOn      string   `json:"ejecton,omitempty"` // "" for failed connects, or early-close
	PanicPercent int      `json:"panicpercent"`      // 0 for never
	SlowStartSec int      `json:"slowstartsec"`      // 0 for off
	CloseOnDown  bool     `json:"closeondown"`
	Proxy        int      `json:"proxy"` // version of the PROXY protocol, 0 for none
	RouteTLS     RouteTLS `json:"routetls"`
}

// Check is how routes are looked at.
type Check struct {
	Kind        string `json:"kind"` // "" for not at all, or tcp, tls, send, http
	IntervalSec int    `json:"intervalsec"`
	TimeoutSec  int    `json:"timeoutsec"`
	Rise        int    `json:"rise"`
	Fall        int    `json:"fall"`
	Send        string `json:"send,omitempty"`
	Expect      string `json:"expect,omitempty"`
	Method      string `json:"method,omitempty"`
	Path        string `json:"path,omitempty"`
	Host        string `json:"host,omitempty"`
	StatusLow   int    `json:"statuslow,omitempty"`
	StatusHigh  int    `json:"statushigh,omitempty"`
}

// RouteTLS is how XLB speaks TLS to the routes.
type RouteTLS struct {
	Mode       string `json:"mode"` // "" for off, verify, or insecure
	ServerName string `json:"servername,omitempty"`
	CA         string `json:"ca,omitempty"` // PEM; empty: the system's

	Certificate string `json:"certificate,omitempty"` // PEM, shown to routes; empty: none
	Key         []byte `json:"key,omitempty"`         // its key, sealed
}
