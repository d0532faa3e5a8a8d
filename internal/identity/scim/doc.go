// Package scim lets an organisation's identity provider make, change and remove its people and teams: SCIM 2.0
// (RFC 7643, RFC 7644) under /scim/v2.
//
//	service.go    Config, New; whose token it is
//	token.go      tokens of a connection, and their operations in the API
//	handler.go    requests, answers, errors
//	users.go      Users: members of the organisation
//	groups.go     Groups: teams, and by the connection's rules roles
//	resource.go   what a User says of a person
//	schema.go     ServiceProviderConfig, ResourceTypes, Schemas
//	filter.go     filters (RFC 7644 section 3.4.2.2): their parser, and what fits them
//	change.go     PUT and PATCH, as a change that users and groups take alike
//	patch.go      changes of parts (RFC 7644 section 3.5.2)
//	store.go      the tables
//
// A provider sees and changes only people whom it made or took over, and takes over only people whose address is in a
// verified domain of its connection. Owners it can neither make nor change.
package scim
