package conversation

import "github.com/prometheus/client_golang/prometheus"

// metrics are this context's counters. Each Service has its own, in the registry it was given.
type metrics struct {
	begun, ended, recovered     prometheus.Counter
	entries, entriesDropped     prometheus.Counter
	framesDropped, itemsDropped prometheus.Counter
	logFailures, recFailures    prometheus.Counter
	recBytes, saves, savedCalls prometheus.Counter
	givenUp, stored, storeFails prometheus.Counter
	indexFails                  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, live func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "parley", Subsystem: "records", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "parley", Subsystem: "records",
		Name: "calls_in_memory", Help: "Calls that go on, or have ended and are not stored yet."}, live))
	return &metrics{
		begun:          counter("calls_begun_total", "Calls that reached us or were placed."),
		ended:          counter("calls_ended_total", "Calls that ended."),
		recovered:      counter("calls_recovered_total", "Calls that a stopped process left behind, ended at the next start."),
		entries:        counter("entries_total", "Entries of event logs."),
		entriesDropped: counter("entries_dropped_total", "Entries lost because the disk was too slow or full."),
		framesDropped:  counter("frames_dropped_total", "Recorded frames lost because the disk was too slow."),
		itemsDropped:   counter("transcript_items_dropped_total", "Transcript items that are in the event log only, because the database was away."),
		logFailures:    counter("log_write_failures_total", "Failed writes to event logs."),
		recFailures:    counter("recordings_stopped_total", "Recordings that stopped because they could not be written."),
		recBytes:       counter("recording_bytes_total", "Bytes of recordings written."),
		saves:          counter("saves_total", "Transactions that saved calls."),
		savedCalls:     counter("saved_calls_total", "Calls saved, once for each time."),
		givenUp:        counter("calls_given_up_total", "Calls that the database refused to save."),
		stored:         counter("calls_stored_total", "Ended calls whose files are in the blob store."),
		storeFails:     counter("store_failures_total", "Failed attempts to move a call's files to the blob store."),
		indexFails:     counter("index_failures_total", "Failed attempts to index ended calls."),
	}
}
