package web

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xdire/xlb/control"
)

// metricsOf answers a scrape with what metrics returns. The registry is its own, so that nothing a library
// puts into the global one shows up here.
func metricsOf(metrics func(context.Context) control.Metrics, cfg Config) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{metrics: metrics, version: cfg.Version},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	})
}

// collector makes the metrics of the balancer anew at each scrape, so a series is there for as long as
// what it is about. docs/metrics.md explains every one.
type collector struct {
	metrics func(context.Context) control.Metrics
	version string
}

// described is everything that a collector may send.
var described []*prometheus.Desc

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("xlb_"+name, help, labels, nil)
	described = append(described, d)
	return d
}

var (
	buildInfo       = describe("build_info", "Always 1; the labels tell the build.", "version", "go_version")
	accepted        = describe("connections_accepted_total", "TCP connections accepted on the data port.")
	connections     = describe("connections_active", "TCP connections of the data port open now, handshakes included.")
	handshakes      = describe("handshakes_active", "TLS handshakes in flight.")
	handshakeTime   = describe("handshake_seconds", "Time from accept to the end of a handshake that led to an admission.", "resumed")
	refused         = describe("handshakes_refused_total", "Connections turned away before they had a frontend; owner is known when the certificate belongs to a client, else nobody.", "reason", "owner")
	clients         = describe("clients", "Clients that exist.")
	frontends       = describe("frontends", "Frontends that exist.")
	authorityExpiry = describe("authority_expiry_timestamp_seconds", "When the authority's certificate expires.")
	keysReady       = describe("keys_ready", "Key pairs made ahead.")
	storeReady      = describe("store_ready", "1 while the store reads and takes writes.")
	storeRevision   = describe("store_revision", "Revision of the store that this server has applied.")
	storeFree       = describe("store_free_bytes", "Room on the disk of the store, where the system tells.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range described {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	m := c.metrics(ctx)
	out := sink(ch)
	out.gauge(buildInfo, 1, c.version, runtime.Version())
	out.counter(accepted, float64(m.Accepted))
	out.gauge(connections, float64(m.Connections))
	out.gauge(handshakes, float64(m.Handshakes))
	out.histogram(handshakeTime, &m.Handshake, "false")
	out.histogram(handshakeTime, &m.Resumed, "true")
	out.reasons(refused, m.Refused, "known")
	out.reasons(refused, m.RefusedNobody, "nobody")
	out.gauge(clients, float64(m.Clients))
	out.gauge(frontends, float64(len(m.Frontends)))
	out.gauge(authorityExpiry, float64(m.AuthorityExpiry.Unix()))
	out.gauge(keysReady, float64(m.KeysReady))
	out.gauge(storeReady, oneIf(m.StoreReady))
	out.gauge(storeRevision, float64(m.StoreRevision))
	if m.StoreFree >= 0 {
		out.gauge(storeFree, float64(m.StoreFree))
	}
	for i := range m.Frontends {
		out.frontend(&m.Frontends[i])
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// sink is where the metrics of one scrape go.
type sink chan<- prometheus.Metric

func (s sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s sink) counter(d *prometheus.Desc, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

// reasons has one counter for each reason that has occurred, as the first label.
func (s sink) reasons(d *prometheus.Desc, counts []control.ReasonCount, labels ...string) {
	for _, c := range counts {
		s.counter(d, float64(c.Count), append([]string{c.Reason}, labels...)...)
	}
}

func (s sink) histogram(d *prometheus.Desc, h *control.Histogram, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Bounds))
	for i, bound := range h.Bounds {
		buckets[bound] = h.Counts[i]
	}
	s <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum, buckets, labels...)
}
