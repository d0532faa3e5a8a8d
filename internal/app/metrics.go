package app

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// callMetrics is what /metrics tells of calls.
type callMetrics struct {
	calls     *prometheus.CounterVec
	refused   *prometheus.CounterVec
	latency   prometheus.Histogram
	dropped   *prometheus.CounterVec
	vendor    *prometheus.CounterVec
	interrupt *prometheus.CounterVec
	panics    prometheus.Counter
	signal    *prometheus.CounterVec
	requests  *prometheus.HistogramVec
	doors     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *callMetrics {
	m := &callMetrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_calls_total", Help: "Calls begun."}, []string{"channel", "direction"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_calls_refused_total",
			Help: "Calls that an organisation's plan or state does not allow."}, []string{"code"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_turn_added_latency_seconds", Help: "End of speech decided to first frame sent.",
			Buckets: []float64{.0001, .00025, .0005, .001, .002, .003, .005, .0075, .01, .015, .02, .025, .035, .05, .1, .25, .5, 1, 2, 4, 8},
		}),
		dropped:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_voice_dropped_total", Help: "What a bounded queue dropped."}, []string{"what"}),
		vendor:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_vendor_errors_total", Help: "Failures of speech and language vendors."}, []string{"service", "code"}),
		interrupt: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_interruptions_total", Help: "Possible interruptions, decided."}, []string{"cut"}),
		panics:    prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_call_panics_total", Help: "Calls ended by a panic."}),
		signal:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_signalling_total", Help: "What signalling counted."}, []string{"channel", "event", "detail"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "parley_http_request_seconds", Help: "HTTP requests.", Buckets: prometheus.DefBuckets},
			[]string{"method", "route", "status"}),
	}
	m.doors = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_db_system_door_total", Help: "Uses of the database across organisations."}, []string{"reason"})
	reg.MustRegister(m.doors, m.calls, m.refused, m.latency, m.dropped, m.vendor, m.interrupt, m.panics, m.signal, m.requests)
	return m
}

func (m *callMetrics) observer() voice.Observer {
	return voice.Observer{
		TurnLatency: func(d time.Duration) { m.latency.Observe(d.Seconds()) },
		Dropped:     func(what string, n int) { m.dropped.WithLabelValues(what).Add(float64(n)) },
		VendorError: func(s provider.Service, code string) { m.vendor.WithLabelValues(string(s), code).Inc() },
		Interrupted: func(cut bool) { m.interrupt.WithLabelValues(strconv.FormatBool(cut)).Inc() },
		Panicked:    func(string) { m.panics.Inc() },
	}
}

// systemDoor counts why data was read or written across organisations. The reasons are fixed texts of the code.
func (m *callMetrics) systemDoor(_ context.Context, reason string) {
	m.doors.WithLabelValues(reason).Inc()
}

func (m *callMetrics) request(method, route string, status int, seconds float64) {
	if route == "" {
		route = "other" // a path nobody registered must not become a label
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(seconds)
}

// watch adds the gauges that are read when asked for.
func watch(reg prometheus.Registerer, c *calls, p *media.Pacer, hub *gateway.Hub, busDropped func() uint64) {
	gauge := func(name, help string, fn func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, fn))
	}
	gauge("parley_live_news_dropped", "Live news dropped since the start.", func() float64 { return float64(busDropped()) })
	if hub != nil {
		gauge("parley_realtime_clients", "Open realtime WebSockets.", func() float64 { return float64(hub.Clients()) })
	}
	if c == nil {
		return
	}
	gauge("parley_calls_live", "Calls running.", func() float64 { n, _ := c.counts(); return float64(n) })
	gauge("parley_pacer_legs", "Legs driven.", func() float64 { return float64(p.Stats().Legs) })
	gauge("parley_pacer_late_ticks", "Ticks more than 20 ms late since the start.", func() float64 { return float64(p.Stats().Late) })
}
