package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// statusBody is what is observed of a frontend now. None of it is stored.
type statusBody struct {
	State        string            `json:"state" doc:"up, degraded, down, waiting (for the first connection) or off"`
	Connections  int               `json:"connections" doc:"Open now"`
	Waiting      int               `json:"waiting" doc:"In the queue, while every route they could use is full"`
	QueueLimit   int               `json:"queueLimit"`
	OldestWaitMs int64             `json:"oldestWaitMs" doc:"Of the first in the queue"`
	Panic        bool              `json:"panic" doc:"So few routes are healthy that health is ignored"`
	Total        int64             `json:"total" doc:"Connections that a route took since the server started"`
	BytesIn      int64             `json:"bytesIn" doc:"From clients"`
	BytesOut     int64             `json:"bytesOut" doc:"To clients"`
	Routes       []routeStatusBody `json:"routes" nullable:"false"`
	Removed      []routeStatusBody `json:"removed" nullable:"false" doc:"Routes that are not in the frontend any more, while they finish what they have"`
}

type routeStatusBody struct {
	Dest        string            `json:"dest"`
	State       string            `json:"state" doc:"unknown, up, down, ejected, draining or maintenance"`
	Reason      string            `json:"reason" doc:"Why it is down or ejected; route-dns while its name does not resolve, whatever its state"`
	Detail      string            `json:"detail" doc:"The same in words"`
	Since       *timestamp        `json:"since" doc:"null when it is not known"`
	Connections int               `json:"connections"`
	Total       int64             `json:"total"`
	Failed      int64             `json:"failed" doc:"Connects that failed"`
	BytesIn     int64             `json:"bytesIn"`
	BytesOut    int64             `json:"bytesOut"`
	ConnectMs   float64           `json:"connectMs" doc:"Of the last connect"`
	Addresses   []routeStatusBody `json:"addresses,omitempty" doc:"Of a route with a name: what is behind it now. The route's own figures are their sums."`
	ClosesAt    *timestamp        `json:"closesAt" doc:"When a drain closes the connections that are left; null when it does not drain"`
}

type statusOutput struct{ Body statusBody }

func (a *jsonAPI) registerStatus() {
	register(a, huma.Operation{
		OperationID: "frontend-status", Method: http.MethodGet, Path: frontendURL + "/{uuid}/status", Security: withBearer,
		Summary: "How a frontend and its routes do now", Tags: []string{"Frontend"},
	}, a.frontendStatus)
}

func (a *jsonAPI) frontendStatus(ctx context.Context, in *FrontendPath) (*statusOutput, error) {
	s, err := a.control.Status(ctx, in.UUID)
	if err != nil {
		return nil, err
	}
	body := statusBody{
		State: string(s.State), Connections: s.Connections, Waiting: s.Waiting, QueueLimit: s.QueueLimit,
		OldestWaitMs: s.OldestWait.Milliseconds(), Panic: s.Panic, Total: s.Total, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
		Routes: make([]routeStatusBody, 0, len(s.Routes)),
	}
	for _, r := range s.Routes {
		body.Routes = append(body.Routes, routeStatusBodyOf(r))
	}
	body.Removed = make([]routeStatusBody, 0, len(s.Removed))
	for _, r := range s.Removed { // apart from the routes: a program that counts those must not count what is on its way out
		body.Removed = append(body.Removed, routeStatusBodyOf(r))
	}
	return &statusOutput{body}, nil
}

func routeStatusBodyOf(r control.RouteStatus) routeStatusBody {
	body := routeStatusBody{
		Dest: r.Dest, State: string(r.State), Reason: r.Reason, Detail: r.Detail, Connections: r.Active, Total: r.Total, Failed: r.Failed,
		BytesIn: r.BytesIn, BytesOut: r.BytesOut, ConnectMs: float64(r.ConnectTime) / float64(time.Millisecond),
	}
	for _, address := range r.Addresses {
		body.Addresses = append(body.Addresses, routeStatusBodyOf(address))
	}
	if !r.Since.IsZero() {
		since := timestampOf(r.Since)
		body.Since = &since
	}
	if !r.ClosesAt.IsZero() {
		at := timestampOf(r.ClosesAt)
		body.ClosesAt = &at
	}
	return body
}
