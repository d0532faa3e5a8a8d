package fleet

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what /metrics tells of the instances.
type metrics struct {
	requests *prometheus.CounterVec // by role and outcome
	retries  *prometheus.CounterVec
	lacks    *prometheus.CounterVec
	breakers *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, f *Fleet) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_fleet_requests_total", Help: "Requests sent to instances, by what came back: a class of status, timeout, failed, or gone (the caller)."}, []string{"role", "outcome"}),
		retries:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_fleet_retries_total", Help: "Requests sent again, to another instance."}, []string{"role"}),
		lacks:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_fleet_refused_total", Help: "Requests that no instance could take, by which limit it was."}, []string{"role", "lack"}),
		breakers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_fleet_breaker_changes_total", Help: "Circuit breakers that changed their state."}, []string{"role", "state"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.retries, m.lacks, m.breakers, gauges{f})
	}
	return m
}

func (m *metrics) refused(role string, err error) {
	var n *NobodyError
	if errors.As(err, &n) {
		m.lacks.WithLabelValues(role, string(n.Lack)).Inc()
	}
}

func (m *metrics) breaker(role string, s BreakerState) {
	m.breakers.WithLabelValues(role, string(s)).Inc()
}

// gauges are read from the fleet when they are asked for.
type gauges struct{ f *Fleet }

var (
	instancesDesc = prometheus.NewDesc("parley_fleet_instances", "Instances that are announced.", []string{"role", "breaker", "draining"}, nil)
	callsDesc     = prometheus.NewDesc("parley_fleet_calls", "Calls that are announced.", []string{"role"}, nil)
	capacityDesc  = prometheus.NewDesc("parley_fleet_capacity", "Places for calls that are announced.", []string{"role"}, nil)
)

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- instancesDesc
	ch <- callsDesc
	ch <- capacityDesc
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	instances, calls, capacity := map[[3]string]int{}, map[string]int{}, map[string]int{}
	for _, s := range g.f.Instances("") {
		draining := "no"
		if s.Draining {
			draining = "yes"
		}
		instances[[3]string{s.Role, string(s.Breaker), draining}]++
		calls[s.Role] += s.Calls
		capacity[s.Role] += s.Capacity
	}
	for k, n := range instances {
		ch <- prometheus.MustNewConstMetric(instancesDesc, prometheus.GaugeValue, float64(n), k[:]...)
	}
	for role, n := range calls {
		ch <- prometheus.MustNewConstMetric(callsDesc, prometheus.GaugeValue, float64(n), role)
		ch <- prometheus.MustNewConstMetric(capacityDesc, prometheus.GaugeValue, float64(capacity[role]), role)
	}
}
