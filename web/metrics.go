package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/xdire/xlb/control"
)

// MetricsDetail is of what /metrics has series.
type MetricsDetail string

// What there can be series of.
const (
	MetricsOfFrontends MetricsDetail = "frontend" // and of their routes
	MetricsOfClients   MetricsDetail = "client"
	MetricsInTotal     MetricsDetail = "total"
)

// described is everything that may be exported. docs/metrics.md explains every one.
var described []*metric

func describe(kind, name, help string, labels ...string) *metric {
	m := &metric{name: "xlb_" + strings.TrimSuffix(name, "_total"), kind: kind, help: help, labels: labels}
	described = append(described, m)
	return m
}

var (
	buildInfo       = describe("gauge", "build_info", "Always 1; the labels tell the build.", "version", "go_version")
	accepted        = describe("counter", "connections_accepted_total", "TCP connections accepted on the data port.")
	connections     = describe("gauge", "connections_active", "TCP connections of the data port open now, handshakes included.")
	handshakes      = describe("gauge", "handshakes_active", "TLS handshakes in flight.")
	loopConnections = describe("gauge", "loop_connections", "Connections whose bytes the event loop moves.", "loop")
	loopBusy        = describe("counter", "loop_busy_seconds_total", "Time that the event loop has worked.", "loop")
	loopLongestTurn = describe("gauge", "loop_longest_turn_seconds", "Longest turn of the event loop in the last ten to twenty seconds.", "loop")
	handshakeTime   = describe("histogram", "handshake_seconds", "Time from accept to the end of a handshake that led to an admission.", "resumed")
	refused         = describe("counter", "handshakes_refused_total", "Connections turned away before they had a frontend; owner is known when the certificate belongs to a client, else nobody.", "owner", "reason")
	clients         = describe("gauge", "clients", "Clients that exist.")
	frontends       = describe("gauge", "frontends", "Frontends that exist.")
	authorityExpiry = describe("gauge", "authority_expiry_timestamp_seconds", "When the authority's certificate expires.")
	keysReady       = describe("gauge", "keys_ready", "Key pairs made ahead.")
	storeReady      = describe("gauge", "store_ready", "1 while the store reads and takes writes.")
	storeRevision   = describe("gauge", "store_revision", "Revision of the store that this server has applied.")
	storeUnreadable = describe("gauge", "store_unreadable_records", "Records that cannot be read, and count as gone.")
	storeFree       = describe("gauge", "store_free_bytes", "Room on the disk of the store, where the system tells.")
)

// textFormats are those that we write: all that ask for the binary one take text too.
var textFormats = slices.DeleteFunc(expfmt.DefaultOpenMetricsAcceptedFormats(), func(f expfmt.Format) bool {
	return f.FormatType() != expfmt.TypeOpenMetrics && f.FormatType() != expfmt.TypeTextPlain
})

// scrapeWait bounds how long a scrape waits for the one before it.
const scrapeWait = 5 * time.Second

// metricsHandler answers scrapes, one at a time: each reads all that there is.
type metricsHandler struct {
	read    func(context.Context, *control.Metrics)
	version string
	detail  MetricsDetail
	process *prometheus.Registry // what the Go runtime and the system say about the process
	turn    chan struct{}

	last control.Metrics // whose memory the next scrape uses again
}

// metricsOf answers a scrape with what read reads. The registry is its own, so that nothing a library
// puts into the global one shows up here.
func metricsOf(read func(context.Context, *control.Metrics), cfg Config) http.Handler {
	h := &metricsHandler{read: read, version: cfg.Version, detail: cfg.MetricsDetail, process: prometheus.NewRegistry(), turn: make(chan struct{}, 1)}
	h.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	wrap, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return wrap(h)
}

// ServeHTTP implements http.Handler.
func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-time.After(scrapeWait):
		w.Header().Set("Retry-After", "5")
		writeText(w, http.StatusServiceUnavailable, "another scrape is being answered")
		return
	case <-r.Context().Done():
		return
	}
	format := expfmt.NegotiateAccept(r.Header, textFormats...)
	isOpen := format.FormatType() == expfmt.TypeOpenMetrics
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Cache-Control", "no-store")
	out := newExposition(w, isOpen)
	h.write(r.Context(), out)
	if errors.Join(out.Flush(), h.writeProcess(w, format)) != nil {
		panic(http.ErrAbortHandler) // half a scrape must not look whole
	}
}

// write writes all that is the balancer's.
func (h *metricsHandler) write(ctx context.Context, out *exposition) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	m := &h.last
	h.read(ctx, m)
	out.gauge(buildInfo, 1, pairs{"version", h.version, "go_version", runtime.Version()})
	out.counter(accepted, float64(m.Accepted), pairs{})
	out.gauge(connections, float64(m.Connections), pairs{})
	out.gauge(handshakes, float64(m.Handshakes), pairs{})
	out.loops(m)
	out.histogram(handshakeTime, &m.Handshake, pairs{}, "resumed", "false")
	out.histogram(handshakeTime, &m.Resumed, pairs{}, "resumed", "true")
	out.reasons(refused, m.Refused, pairs{}, "owner", "known")
	out.reasons(refused, m.RefusedNobody, pairs{}, "owner", "nobody")
	out.gauge(clients, float64(m.Clients), pairs{})
	out.gauge(frontends, float64(len(m.Frontends)), pairs{})
	out.gauge(authorityExpiry, float64(m.AuthorityExpiry.Unix()), pairs{})
	out.gauge(keysReady, float64(m.KeysReady), pairs{})
	out.gauge(storeReady, oneIf(m.StoreReady), pairs{})
	out.gauge(storeRevision, float64(m.StoreRevision), pairs{})
	out.gauge(storeUnreadable, float64(m.Unreadable), pairs{})
	if m.StoreFree >= 0 {
		out.gauge(storeFree, float64(m.StoreFree), pairs{})
	}
	writeFrontends(out, m.Frontends, h.detail)
}

// writeProcess writes what is known about the process, and the end of the scrape.
func (h *metricsHandler) writeProcess(w io.Writer, format expfmt.Format) error {
	families, err := h.process.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	if end, ends := encoder.(expfmt.Closer); ends {
		return end.Close()
	}
	return nil
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (e *exposition) loops(m *control.Metrics) {
	for i, one := range m.Loops {
		loop := pairs{"loop", strconv.Itoa(i)}
		e.gauge(loopConnections, float64(one.Connections), loop)
		e.counter(loopBusy, one.Busy.Seconds(), loop)
		e.gauge(loopLongestTurn, one.LongestTurn.Seconds(), loop)
	}
}
