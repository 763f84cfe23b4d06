package config

// Setting is what the reference tells of a setting beside its comment.
type Setting struct{ Key, Flag, Env, Shape, Dev, Serve string }

// Settings lists the settings in order.
func Settings() []Setting {
	dev, serve := Default(Dev), Default(Serve)
	var all []Setting
	for _, s := range settings() {
		v := newFlagValue(&s, dev)
		shape := v.kind
		if v.list {
			shape = "list of " + shape
		}
		all = append(all, Setting{s.key, s.flag, s.env(), shape, v.standard, newFlagValue(&s, serve).standard})
	}
	return all
}

// Help returns a flag's help text.
func Help(key string) string { return help(key) }
