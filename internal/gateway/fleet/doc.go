// Package fleet is what processes of one installation know of each other: who is there, who is least loaded, who is
// broken; and it sends HTTP and WebSockets to them.
//
//	instance.go  Instance: what a process says of itself, and how that is read
//	member.go    Member: announces this process, every few seconds
//	fleet.go     Fleet: who is there, by their announcements
//	pick.go      who gets the next request
//	breaker.go   when the circuit breaker of an instance opens; platform/breaker is the state machine
//	proxy.go     Proxy: an http.Handler in front of a role
//	send.go      tries and retries; attempt.go: one try, with its watchdog; upgrade.go: WebSockets
//	headers.go   what crosses a proxy and what does not (RFC 9110 section 7.6, RFC 7239)
//	report.go    ok, degraded or down, and why; http.go: GET /api/v1/super/instances
//	metrics.go   the same as numbers
//
// # Joining
//
// Every process of every role announces itself, under an id that no other process has (its node's name):
//
//	member, err := fleet.Join(ctx, fleet.MemberConfig{
//		Bus:  bus,
//		Self: fleet.Instance{ID: node, Role: "media", Version: version, URL: "https://10.0.0.7:8443", Region: "eu", Zone: "a", Capacity: maxCalls},
//		Calls: func() int { return calls.Live() }, // asked before each announcement
//		Clock: clock, Log: log,
//	})
//	...
//	member.Drain(ctx)  // first of all when the process drains: nobody sends it new work from now on
//	member.Leave(ctx)  // when it stops: it is gone at once. One that dies is gone after fleet.TTL
//	<-member.Lost()    // somebody else announces this id: stop
//
// URL is where the process's internal server listens, "" when nothing is to be sent to it (a worker).
//
// # Sending
//
// A process that sends work to others follows the announcements and mounts a Proxy for each role, or picks by itself:
//
//	fl, err := fleet.New(fleet.Config{Bus: bus, Clock: clock, Log: log, Registry: prometheus})
//	fl.Start(ctx); defer fl.Stop()
//	mux.Handle("GET "+mediastream.MediaPath, fl.Proxy(fleet.ProxyConfig{
//		Role: "media", Takes: true,            // each such request takes one of the role's places for calls
//		Authorize: func(r *http.Request, to fleet.Instance) error { ... }, // adds the role's token, for this instance only
//		Want: func(r *http.Request) fleet.Want { ... },                      // region, holder of a call
//		TLS: mutual, Fail: gateway.WriteProblem, ...
//	}))
//
//	lease, err := fl.Pick(fleet.Want{Role: "media", Holder: id})  // that very instance, or an error
//
// # What is relied on
//
// Announcements are values of the bus's KV bucket that expire. Clocks of machines are never compared: an age is the time since
// this process received the announcement. When the bus is out of reach nothing is heard of anybody; then the last that was
// known stays, and the breakers tell who is really gone. Whoever may write to the bucket decides where requests are sent,
// so the bus's permissions are part of the protection; requests go to announced addresses only, and never to link-local ones.
package fleet
