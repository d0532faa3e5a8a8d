package app

import (
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"
)

// SettingsFile reads a settings file for kong. A variable of the environment beats a line of the file, and
// a flag beats both. A line that names no setting is an error: it would be believed to work.
func SettingsFile(r io.Reader) (kong.Resolver, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, err
	}
	raw, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		return nil, fmt.Errorf("settings file: %w; write one setting a line, such as http-addr: 127.0.0.1:8080", err)
	}
	k := koanf.New(".")
	known := settingNames()
	for key, value := range raw {
		name := strings.ToLower(strings.ReplaceAll(key, "_", "-"))
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("settings file: %q is no setting; known are %s", key, strings.Join(known, ", "))
		}
		if err := k.Set(name, value); err != nil {
			return nil, fmt.Errorf("settings file: %s: %w", key, err)
		}
	}
	return fileResolver{k}, nil
}

type fileResolver struct{ k *koanf.Koanf }

// Validate implements kong.Resolver.
func (fileResolver) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (f fileResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !f.k.Exists(flag.Name) {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return f.k.String(flag.Name), nil
}

// settingNames lists the settings as flags are named.
func settingNames() []string {
	names := map[string]bool{}
	for _, s := range Settings() {
		names[s.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Setting describes one setting for the reference.
type Setting struct{ Name, Env, Default, Help, Group string }

// Settings describes every setting, in the order of Config.
func Settings() []Setting {
	var out []Setting
	for f := range fields(reflect.TypeFor[Config]()) {
		env := f.Tag.Get("env")
		out = append(out, Setting{
			Name: strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(env, "PARLEY_"), "_", "-")),
			Env:  env, Default: f.Tag.Get("default"), Help: f.Tag.Get("help"), Group: f.Tag.Get("group"),
		})
	}
	return out
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
