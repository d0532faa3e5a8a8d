package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-voice/parley/internal/compliance/mongolog"
)

// checkPlatformLog judges where a copy of the platform log goes. What it says does not repeat the URL, which is a secret.
func (c *Config) checkPlatformLog(bad complain) {
	if c.PlatformLogURL == "" {
		if c.CopyLogs {
			bad("copy-logs", "set platform-log-url too", "there is no place to copy them to")
		}
		return
	}
	if _, _, err := mongolog.Parse(c.PlatformLogURL); err != nil {
		bad("platform-log-url", "use mongodb://user:password@host:27017/DATABASE?tls=true, or leave it empty", "%v", err)
	}
	if c.PlatformLogTimeout < 0 || c.PlatformLogTimeout > 5*time.Minute {
		bad("platform-log-timeout", "give a time from 1ms to 5m, such as 15s", "%s is out of range", c.PlatformLogTimeout)
	}
}

// platformLogSink makes what takes the copy; nil is nothing. Workers write the platform log, so they copy it.
func (a *App) platformLogSink() (*mongolog.Sink, error) {
	if a.cfg.PlatformLogURL == "" || !a.cfg.is(roleWorker) {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	sink, err := mongolog.New(mongolog.Config{URL: a.cfg.PlatformLogURL, Timeout: a.cfg.PlatformLogTimeout, Log: a.log})
	if err != nil {
		return nil, err
	}
	a.reg.MustRegister(copyMetrics{a})
	return sink, nil
}

const copyMetricsTimeout = time.Second // the database's answer, when metrics are asked for

var (
	copyBehind = prometheus.NewDesc("parley_platform_log_behind", "Entries of the platform log that wait to be copied, in all processes.", nil, nil)
	copyOldest = prometheus.NewDesc("parley_platform_log_oldest_seconds", "How long the first of them has waited.", nil, nil)
	copyDone   = prometheus.NewDesc("parley_platform_log_copied_total", "Entries of the platform log that this process has copied.", nil, nil)
	copyFailed = prometheus.NewDesc("parley_platform_log_failures_total", "Attempts of this process to copy that failed.", nil, nil)
)

// copyMetrics tells how far the copy of the platform log is.
type copyMetrics struct{ a *App }

// Describe implements prometheus.Collector.
func (copyMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{copyBehind, copyOldest, copyDone, copyFailed} {
		to <- d
	}
}

// Collect implements prometheus.Collector. While the database does not answer, what only it knows is left out.
func (m copyMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), copyMetricsTimeout)
	defer cancel()
	done, failed := m.a.trails.Copied()
	to <- prometheus.MustNewConstMetric(copyDone, prometheus.CounterValue, float64(done))
	to <- prometheus.MustNewConstMetric(copyFailed, prometheus.CounterValue, float64(failed))
	state, err := m.a.trails.CopyState(ctx)
	if err != nil {
		return
	}
	to <- prometheus.MustNewConstMetric(copyBehind, prometheus.GaugeValue, float64(state.Behind()))
	var oldest time.Duration
	if !state.Oldest.IsZero() {
		oldest = max(0, m.a.clock.Now().Sub(state.Oldest))
	}
	to <- prometheus.MustNewConstMetric(copyOldest, prometheus.GaugeValue, oldest.Seconds())
}
