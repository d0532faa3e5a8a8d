package scim

// Values of an attribute's characteristics (RFC 7643 section 7).
const (
	readOnly  = "readOnly"
	readWrite = "readWrite"
	immutable = "immutable"
)

// attribute is one of a schema.
type attribute struct {
	Name            string      `json:"name"`
	Type            string      `json:"type"`
	MultiValued     bool        `json:"multiValued"`
	Description     string      `json:"description"`
	Required        bool        `json:"required"`
	CaseExact       bool        `json:"caseExact"`
	Mutability      string      `json:"mutability"`
	Returned        string      `json:"returned"`
	Uniqueness      string      `json:"uniqueness"`
	CanonicalValues []string    `json:"canonicalValues,omitempty"`
	ReferenceTypes  []string    `json:"referenceTypes,omitempty"`
	SubAttributes   []attribute `json:"subAttributes,omitempty"`
}

func textAttribute(name, description string) attribute {
	return attribute{Name: name, Type: "string", Description: description, Mutability: readWrite, Returned: "default", Uniqueness: "none"}
}

func listAttribute(name, description string, types ...string) attribute {
	kind := textAttribute("type", "What it is for")
	kind.CanonicalValues = types
	primary := attribute{Name: "primary", Type: "boolean", Description: "The one to use", Mutability: readWrite, Returned: "default", Uniqueness: "none"}
	return attribute{Name: name, Type: "complex", MultiValued: true, Description: description, Mutability: readWrite, Returned: "default", Uniqueness: "none",
		SubAttributes: []attribute{textAttribute("value", "The value"), textAttribute("display", "For people"), kind, primary}}
}

// userAttributes is what we keep of a User (RFC 7643 section 4.1).
var userAttributes = []attribute{
	{Name: "userName", Type: "string", Description: "How the provider names the person; the address where emails has none", Required: true,
		Mutability: readWrite, Returned: "default", Uniqueness: "server"},
	{Name: "externalId", Type: "string", Description: "The provider's own id", CaseExact: true, Mutability: readWrite, Returned: "default", Uniqueness: "none"},
	{Name: "name", Type: "complex", Description: "The parts of the name", Mutability: readWrite, Returned: "default", Uniqueness: "none",
		SubAttributes: []attribute{
			textAttribute("formatted", "The whole name"), textAttribute("familyName", "Family name"), textAttribute("givenName", "Given name"),
			textAttribute("middleName", "Middle name"), textAttribute("honorificPrefix", "Title before"), textAttribute("honorificSuffix", "Title after"),
		}},
	textAttribute("displayName", "The name shown"),
	textAttribute("nickName", "How the person is called"),
	textAttribute("title", "Position"),
	textAttribute("userType", "Relation to the organisation"),
	textAttribute("preferredLanguage", "Language"),
	textAttribute("locale", "Locale"),
	textAttribute("timezone", "Time zone"),
	{Name: "active", Type: "boolean", Description: "false: the person may not come in, and their sessions end", Mutability: readWrite, Returned: "default", Uniqueness: "none"},
	listAttribute("emails", "Addresses; the primary one is the account's", "work", "home", "other"),
	listAttribute("phoneNumbers", "Telephone numbers", "work", "home", "mobile", "fax", "pager", "other"),
}

// groupAttributes is what we keep of a Group (RFC 7643 section 4.2).
var groupAttributes = []attribute{
	{Name: "displayName", Type: "string", Description: "Name of the team; by the connection's rules it may give a role", Required: true,
		Mutability: readWrite, Returned: "default", Uniqueness: "server"},
	{Name: "externalId", Type: "string", Description: "The provider's own id", CaseExact: true, Mutability: readWrite, Returned: "default", Uniqueness: "none"},
	{Name: "members", Type: "complex", MultiValued: true, Description: "Its people", Mutability: readWrite, Returned: "default", Uniqueness: "none",
		SubAttributes: []attribute{
			{Name: "value", Type: "string", Description: "Id of a User", CaseExact: true, Mutability: immutable, Returned: "default", Uniqueness: "none"},
			{Name: "$ref", Type: "reference", Description: "URL of the User", CaseExact: true, Mutability: immutable, Returned: "default", Uniqueness: "none", ReferenceTypes: []string{"User"}},
			{Name: "display", Type: "string", Description: "Name of the User", Mutability: readOnly, Returned: "default", Uniqueness: "none"},
		}},
}

// schemas gives the answer of /Schemas (RFC 7643 section 7).
func (s *Service) schemas() []map[string]any {
	one := func(urn, name, description string, attributes []attribute) map[string]any {
		return map[string]any{
			"schemas": []any{urnSchema}, "id": urn, "name": name, "description": description, "attributes": attributes,
			"meta": map[string]any{"resourceType": "Schema", "location": s.base() + "/Schemas/" + urn},
		}
	}
	return []map[string]any{one(urnUser, "User", "A member of the organisation", userAttributes), one(urnGroup, "Group", "A team of the organisation", groupAttributes)}
}

// resourceTypes gives the answer of /ResourceTypes (RFC 7643 section 6).
func (s *Service) resourceTypes() []map[string]any {
	one := func(name, endpoint, urn, description string) map[string]any {
		return map[string]any{
			"schemas": []any{urnType}, "id": name, "name": name, "endpoint": endpoint, "description": description, "schema": urn,
			"meta": map[string]any{"resourceType": "ResourceType", "location": s.base() + "/ResourceTypes/" + name},
		}
	}
	return []map[string]any{one("User", "/Users", urnUser, "Members of the organisation"), one("Group", "/Groups", urnGroup, "Teams of the organisation")}
}

// providerConfig gives the answer of /ServiceProviderConfig (RFC 7643 section 5).
func (s *Service) providerConfig() map[string]any {
	no := map[string]any{"supported": false}
	return map[string]any{
		"schemas": []any{urnConfig}, "patch": map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":         map[string]any{"supported": true, "maxResults": maxPage},
		"changePassword": no, "sort": no, "etag": no,
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "Bearer token", "description": "The token of the connection, as Authorization: Bearer scim_...", "primary": true,
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": s.base() + "/ServiceProviderConfig"},
	}
}
