// Package client calls the API from Go. It is made from api/openapi.yaml by `make generate`:
//
//	c, err := client.NewClientWithResponses("https://voice.example.com", client.WithRequestEditorFn(client.Bearer(token)))
//	agents, err := c.ListAgentsWithResponse(ctx, &client.ListAgentsParams{})
//	if agents.JSON200 == nil { /* agents.ApplicationproblemJSONDefault says what is wrong */ }
//
//	client.gen.go   generated: an operation is a method, an answer a struct
//	bearer.go       how a token is sent
//	realtime.go     Follow: the realtime feed, resumed when a connection breaks
//	tool.mod        the generator and what it needs, apart from the server's modules
package client
