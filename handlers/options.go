package handlers

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// OptionsInput is what a client decides about the behaviour of a frontend. It is exported because huma
// fills no fields of unexported embedded types.
type OptionsInput struct {
	MaxConnections      optional[int]           `json:"maxConnections,omitempty" doc:"Most connections at once; 0, the default, is no bound"`
	ConnectionsPerSec   optional[int]           `json:"connectionsPerSec,omitempty" doc:"Most new connections in a second; 0, the default, is no bound"`
	BytesPerSec         optional[int64]         `json:"bytesPerSec,omitempty" doc:"Most bytes in a second, both directions together; 0, the default, is no bound"`
	IdleTimeoutSec      optional[int]           `json:"idleTimeoutSec,omitempty" doc:"A connection without a byte for so long is closed. Default: 3600"`
	HalfCloseTimeoutSec optional[int]           `json:"halfCloseTimeoutSec,omitempty" doc:"The same once one side has ended its direction. Default: 60"`
	MaxLifetimeSec      optional[int]           `json:"maxLifetimeSec,omitempty" doc:"A connection lives for so long at most; 0, the default, is for ever"`
	KeepAliveSec        optional[int]           `json:"keepAliveSec,omitempty" doc:"TCP keep-alive to both sides after so long, 0 is off. Default: 60"`
	QueueLimit          optional[int]           `json:"queueLimit,omitempty" doc:"Most connections that wait while all routes are full, 0 is none. Default: 1024"`
	DrainTimeoutSec     optional[int]           `json:"drainTimeoutSec,omitempty" doc:"Connections to a route that is removed or drained have so long to end; 0 ends them at once. Default: 300"`
	EjectAfter          optional[int]           `json:"ejectAfter,omitempty" doc:"Failures in a row after which a route rests for a while, 0 is never. Default: 5"`
	EjectOn             optional[none]          `json:"ejectOn,omitempty" doc:"What counts as a failure: connect (default), or early-close: failed connects, and connections that the route ended within a second without a byte"`
	PanicPercent        optional[int]           `json:"panicPercent,omitempty" doc:"With fewer healthy routes than that, health is ignored; 0 is never. Default: 50"`
	SlowStartSec        optional[int]           `json:"slowStartSec,omitempty" doc:"A route that comes back gets its full share after so long; 0, the default, is at once"`
	CloseOnDown         optional[bool]          `json:"closeOnDown,omitempty" doc:"Close the connections of a route that a check finds down. Default: false"`
	ProxyProtocol       optional[int]           `json:"proxyProtocol,omitempty" doc:"Version of the PROXY header that routes get, 1 or 2; 0, the default, is none"`
	RouteTLS            optional[routeTLSInput] `json:"routeTls,omitempty" doc:"TLS to the routes"`
	Check               optional[checkInput]    `json:"check,omitempty" doc:"How routes are looked at"`
}

type routeTLSInput struct {
	Mode       optional[none]   `json:"mode,omitempty" doc:"off (default), verify or insecure"`
	ServerName optional[string] `json:"serverName,omitempty" doc:"The name in the routes' certificates. Default: the host of the route"`
	CA         optional[string] `json:"ca,omitempty" doc:"Whom to trust, PEM. Default: what the system trusts"`

	Certificate optional[string] `json:"certificate,omitempty" doc:"Shown to routes that ask for one, PEM. Default: none"`
	Key         optional[string] `json:"key,omitempty" doc:"Its private key, PEM. It is stored sealed and never returned; absent keeps the one that is there"`
}

type checkInput struct {
	Kind        optional[none]   `json:"kind,omitempty" doc:"none (default), tcp, tls, send or http"`
	IntervalSec optional[int]    `json:"intervalSec,omitempty" doc:"Default: 5"`
	TimeoutSec  optional[int]    `json:"timeoutSec,omitempty" doc:"Default: 2"`
	Rise        optional[int]    `json:"rise,omitempty" doc:"Checks in a row that must pass until a route is up again. Default: 2"`
	Fall        optional[int]    `json:"fall,omitempty" doc:"Checks in a row that must fail until a route is down. Default: 3"`
	Send        optional[string] `json:"send,omitempty" doc:"send: what goes out first"`
	Expect      optional[string] `json:"expect,omitempty" doc:"send: what has to be in the answer"`
	Method      optional[string] `json:"method,omitempty" doc:"http: GET (default), HEAD or OPTIONS"`
	Path        optional[string] `json:"path,omitempty" doc:"http: default /"`
	Host        optional[string] `json:"host,omitempty" doc:"http: the Host header. Default: the route"`
	StatusLow   optional[int]    `json:"statusLow,omitempty" doc:"http: lowest good status. Default: 200"`
	StatusHigh  optional[int]    `json:"statusHigh,omitempty" doc:"http: highest good status. Default: 399"`
}

// none is a choice whose empty value has a name in the API: none, off, ready or connect.
type none string

// UnmarshalJSON turns the names of nothing into nothing.
func (n *none) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	switch text {
	case "none", "off", "ready", "connect":
		text = ""
	case "":
		text = "?" // the empty text has no meaning in the API
	}
	*n = none(text)
	return nil
}

// Schema is a text.
func (n none) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[string]())
}

func named(value, nothing string) string {
	if value == "" {
		return nothing
	}
	return value
}

// into changes o to what the input says.
func (in OptionsInput) into(o *control.Options) {
	initial := control.DefaultOptions()
	in.MaxConnections.into(&o.MaxConnections, initial.MaxConnections)
	in.ConnectionsPerSec.into(&o.ConnectionsPerSec, initial.ConnectionsPerSec)
	in.BytesPerSec.into(&o.BytesPerSec, initial.BytesPerSec)
	in.IdleTimeoutSec.into(&o.IdleTimeoutSec, initial.IdleTimeoutSec)
	in.HalfCloseTimeoutSec.into(&o.HalfCloseTimeoutSec, initial.HalfCloseTimeoutSec)
	in.MaxLifetimeSec.into(&o.MaxLifetimeSec, initial.MaxLifetimeSec)
	in.KeepAliveSec.into(&o.KeepAliveSec, initial.KeepAliveSec)
	in.QueueLimit.into(&o.QueueLimit, initial.QueueLimit)
	in.DrainTimeoutSec.into(&o.DrainTimeoutSec, initial.DrainTimeoutSec)
	in.EjectAfter.into(&o.EjectAfter, initial.EjectAfter)
	ejectOn := none(o.EjectOn)
	in.EjectOn.into(&ejectOn, none(initial.EjectOn))
	o.EjectOn = string(ejectOn)
	in.PanicPercent.into(&o.PanicPercent, initial.PanicPercent)
	in.SlowStartSec.into(&o.SlowStartSec, initial.SlowStartSec)
	in.CloseOnDown.into(&o.CloseOnDown, initial.CloseOnDown)
	in.ProxyProtocol.into(&o.Proxy, initial.Proxy)
	switch {
	case in.RouteTLS.null:
		o.RouteTLS = initial.RouteTLS
	case in.RouteTLS.given:
		in.RouteTLS.value.into(&o.RouteTLS)
	}
	switch {
	case in.Check.null:
		o.Check = initial.Check
	case in.Check.given:
		in.Check.value.into(&o.Check)
	}
}

func (in routeTLSInput) into(t *control.RouteTLS) {
	mode := none(t.Mode)
	in.Mode.into(&mode, "")
	t.Mode = string(mode)
	in.ServerName.into(&t.ServerName, "")
	in.CA.into(&t.CA, "")
	in.Certificate.into(&t.Certificate, "")
}

func (in checkInput) into(c *control.Check) {
	initial := control.DefaultCheck()
	kind := none(c.Kind)
	in.Kind.into(&kind, "")
	c.Kind = string(kind)
	in.IntervalSec.into(&c.IntervalSec, initial.IntervalSec)
	in.TimeoutSec.into(&c.TimeoutSec, initial.TimeoutSec)
	in.Rise.into(&c.Rise, initial.Rise)
	in.Fall.into(&c.Fall, initial.Fall)
	in.Send.into(&c.Send, initial.Send)
	in.Expect.into(&c.Expect, initial.Expect)
	in.Method.into(&c.Method, initial.Method)
	in.Path.into(&c.Path, initial.Path)
	in.Host.into(&c.Host, initial.Host)
	in.StatusLow.into(&c.StatusLow, initial.StatusLow)
	in.StatusHigh.into(&c.StatusHigh, initial.StatusHigh)
}

// OptionsBody is the behaviour of a frontend.
type OptionsBody struct {
	MaxConnections      int          `json:"maxConnections"`
	ConnectionsPerSec   int          `json:"connectionsPerSec"`
	BytesPerSec         int64        `json:"bytesPerSec"`
	IdleTimeoutSec      int          `json:"idleTimeoutSec"`
	HalfCloseTimeoutSec int          `json:"halfCloseTimeoutSec"`
	MaxLifetimeSec      int          `json:"maxLifetimeSec"`
	KeepAliveSec        int          `json:"keepAliveSec"`
	QueueLimit          int          `json:"queueLimit"`
	DrainTimeoutSec     int          `json:"drainTimeoutSec"`
	EjectAfter          int          `json:"ejectAfter"`
	EjectOn             string       `json:"ejectOn"`
	PanicPercent        int          `json:"panicPercent"`
	SlowStartSec        int          `json:"slowStartSec"`
	CloseOnDown         bool         `json:"closeOnDown"`
	ProxyProtocol       int          `json:"proxyProtocol"`
	RouteTLS            routeTLSBody `json:"routeTls"`
	Check               checkBody    `json:"check"`
}

type routeTLSBody struct {
	Mode       string `json:"mode"`
	ServerName string `json:"serverName"`
	CA         string `json:"ca"`

	Certificate string `json:"certificate"`
	HasKey      bool   `json:"hasKey" doc:"Whether there is a private key for the certificate"`
}

type checkBody struct {
	Kind        string `json:"kind"`
	IntervalSec int    `json:"intervalSec"`
	TimeoutSec  int    `json:"timeoutSec"`
	Rise        int    `json:"rise"`
	Fall        int    `json:"fall"`
	Send        string `json:"send"`
	Expect      string `json:"expect"`
	Method      string `json:"method"`
	Path        string `json:"path"`
	Host        string `json:"host"`
	StatusLow   int    `json:"statusLow"`
	StatusHigh  int    `json:"statusHigh"`
}

func optionsBodyOf(o control.Options) OptionsBody {
	return OptionsBody{
		MaxConnections: o.MaxConnections, ConnectionsPerSec: o.ConnectionsPerSec, BytesPerSec: o.BytesPerSec,
		IdleTimeoutSec: o.IdleTimeoutSec, HalfCloseTimeoutSec: o.HalfCloseTimeoutSec, MaxLifetimeSec: o.MaxLifetimeSec,
		KeepAliveSec: o.KeepAliveSec, QueueLimit: o.QueueLimit, DrainTimeoutSec: o.DrainTimeoutSec, EjectAfter: o.EjectAfter,
		EjectOn: named(o.EjectOn, "connect"), PanicPercent: o.PanicPercent, SlowStartSec: o.SlowStartSec, CloseOnDown: o.CloseOnDown, ProxyProtocol: o.Proxy,
		RouteTLS: routeTLSBody{Mode: named(o.RouteTLS.Mode, "off"), ServerName: o.RouteTLS.ServerName, CA: o.RouteTLS.CA,
			Certificate: o.RouteTLS.Certificate, HasKey: o.RouteTLS.Key != nil},
		Check: checkBody{
			Kind: named(o.Check.Kind, "none"), IntervalSec: o.Check.IntervalSec, TimeoutSec: o.Check.TimeoutSec, Rise: o.Check.Rise, Fall: o.Check.Fall,
			Send: o.Check.Send, Expect: o.Check.Expect, Method: o.Check.Method, Path: o.Check.Path, Host: o.Check.Host,
			StatusLow: o.Check.StatusLow, StatusHigh: o.Check.StatusHigh,
		},
	}
}
