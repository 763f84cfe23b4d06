package identity_test

import (
	"testing"

	"heliograph.dev/internal/identity"
)

// BenchmarkVerify: a token that was seen before, and one that was not (RS256, a key of 2048 bits).
func BenchmarkVerify(b *testing.B) {
	b.Run("cached", func(b *testing.B) {
		p, v, _ := setup(b)
		token := p.token(p.appClaims())
		b.ReportAllocs()
		for b.Loop() {
			wantAccepted(b, v, token)
		}
	})
	b.Run("cached-parallel", func(b *testing.B) {
		p, v, _ := setup(b)
		token := p.token(p.appClaims())
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				wantAccepted(b, v, token)
			}
		})
	})
	b.Run("cold", func(b *testing.B) {
		p, v, _ := setup(b, func(o *identity.Options) { o.CachedTokens = 2 })
		tokens := make([]string, 8) // more than are remembered
		for n := range tokens {
			tokens[n] = p.token(p.appClaims().with(fields{"uti": n}))
		}
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			wantAccepted(b, v, tokens[n%len(tokens)])
			n++
		}
		if s := v.Stats(); s.Hits > 0 {
			b.Errorf("%d were remembered", s.Hits)
		}
	})
}
