// SPDX-License-Identifier: MIT

package hsm_test

import (
	"crypto"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trustloom/trustloom/models"
)

// BenchmarkSign measures P-256 signatures by 1 and by 16 callers.
func BenchmarkSign(b *testing.B) {
	digest := sum256([]byte("x"))
	for name, kind := range keyStoreKinds() {
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				s := closing(b, kind.open(b)())
				must(s.Generate(b.Context(), "k", models.ECP256))(b)
				signer := must(s.Signer(b.Context(), "k"))(b)
				var left atomic.Int64
				left.Store(int64(b.N))
				var done sync.WaitGroup
				b.ResetTimer()
				for range callers {
					done.Go(func() {
						for left.Add(-1) >= 0 {
							if _, err := signer.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				done.Wait()
			})
		}
	}
}
