package leadfile

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Mapping says what the columns are: the header's cell to one of the constants below, to a variable of the agent's
// as "var:NAME", or to "" for a column that is left out.
type Mapping map[string]string

// What a column can be.
const (
	Phone    = "phone"
	Name     = "name"
	Country  = "country"
	Region   = "region"
	Zone     = "zone"
	variable = "var:"
)

// VariableName is what a variable may be called, as in an agent's {{firstName}}.
var VariableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// names are how lists call their columns, without anything but letters and digits.
var names = map[string][]string{
	Phone: {"phone", "phonenumber", "telephone", "telephonenumber", "mobile", "mobilephone", "mobilenumber", "cell", "cellphone", "tel", "number", "msisdn",
		"telefon", "telefonnummer", "handy", "rufnummer", "telephone1", "phone1", "telefono", "móvil", "movil", "celular", "téléphone", "telefone", "numero", "номер", "телефон", "الهاتف", "手机", "电话"},
	Name:    {"name", "fullname", "contact", "contactname", "customer", "customername", "firstname", "vorname", "nom", "nombre", "nome", "имя", "الاسم", "姓名"},
	Country: {"country", "countrycode", "land", "pays", "país", "pais", "paese"},
	Region:  {"state", "region", "province", "statecode", "bundesland"},
	Zone:    {"timezone", "tz", "zone", "zeitzone"},
}

// Guess maps columns by their names; what it does not know becomes a variable.
func Guess(head []string) Mapping {
	m := Mapping{}
	taken := map[string]bool{}
	for _, is := range []string{Phone, Name, Country, Region, Zone} {
		for _, name := range names[is] { // the best name first
			i := slices.IndexFunc(head, func(h string) bool { return plain(h) == name })
			if i >= 0 && m[head[i]] == "" && !taken[is] {
				m[head[i]], taken[is] = is, true
			}
		}
	}
	for _, h := range head {
		if _, ok := m[h]; ok || h == "" {
			continue
		}
		m[h] = ""
		if v := slug(h); VariableName.MatchString(v) && !taken[variable+v] {
			m[h], taken[variable+v] = variable+v, true
		}
	}
	return m
}

// Fit gives columns to the variables that an agent needs and that have none, by names that differ in spelling only: First Name is
// firstName and first_name. The number's column stays what it is.
func (m Mapping) Fit(head, needed []string) {
	has := map[string]bool{}
	for _, is := range m {
		has[is] = true
	}
	for _, v := range needed {
		i := slices.IndexFunc(head, func(h string) bool {
			other, is := strings.CutPrefix(m[h], variable)
			return plain(h) == plain(v) && m[h] != Phone && !(is && slices.Contains(needed, other))
		})
		if i >= 0 && !has[variable+v] && VariableName.MatchString(v) {
			m[head[i]], has[variable+v] = variable+v, true
		}
	}
}

// plain is a name without anything but its letters and digits.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// slug is a name as a variable can be called: First Name is first_name.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	return strings.TrimSuffix(b.String(), "_")
}

// column is one that is read.
type column struct {
	at       int
	name     string // in the header
	is       string
	variable string
}

// bind finds the mapped columns in a header.
func (m Mapping) bind(head []string) ([]column, error) {
	var out []column
	seen := map[string]string{}
	for i, h := range head {
		is := m[h]
		if is == "" {
			continue
		}
		c := column{at: i, name: h, is: is}
		if v, ok := strings.CutPrefix(is, variable); ok {
			if c.variable = v; !VariableName.MatchString(v) {
				return nil, fault.Field("mapping", "%q cannot be a variable; use letters, digits and underscores, no digit first", v)
			}
		} else if _, ok := names[is]; !ok {
			return nil, fault.Field("mapping", "column %q cannot be %q; use phone, name, country, region, zone or var:NAME", h, is)
		}
		if other, twice := seen[is]; twice {
			return nil, fault.Field("mapping", "columns %q and %q are both %s; choose one", other, h, is)
		}
		seen[is] = h
		out = append(out, c)
	}
	for h, is := range m {
		if is != "" && !slices.Contains(head, h) {
			return nil, fault.Field("mapping", "the file has no column %q; it has %s", h, strings.Join(head[:min(len(head), 20)], ", "))
		}
	}
	if seen[Phone] == "" {
		return nil, fault.Field("mapping", "no column is the phone number; say which of %s it is", strings.Join(head[:min(len(head), 20)], ", "))
	}
	return out, nil
}

// Check refuses a mapping that does not fit a header: columns that are not there, two that are the same, no number.
func (m Mapping) Check(head []string) error {
	_, err := m.bind(head)
	return err
}
