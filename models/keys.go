// SPDX-License-Identifier: MIT

package models

import "strings"

// KeyAlgorithm names an algorithm together with its size, as operators write
// it in the REST API.
type KeyAlgorithm string

// The algorithms. RSA moduli are 2048 to 8192 bits.
const (
	RSA2048 KeyAlgorithm = "RSA-2048"
	RSA3072 KeyAlgorithm = "RSA-3072"
	RSA4096 KeyAlgorithm = "RSA-4096"
	RSA8192 KeyAlgorithm = "RSA-8192"
	ECP256  KeyAlgorithm = "EC-P256"
	ECP384  KeyAlgorithm = "EC-P384"
	ECP521  KeyAlgorithm = "EC-P521"
	Ed25519 KeyAlgorithm = "Ed25519"
	MLDSA44 KeyAlgorithm = "ML-DSA-44" // FIPS 204, post-quantum
	MLDSA65 KeyAlgorithm = "ML-DSA-65"
	MLDSA87 KeyAlgorithm = "ML-DSA-87"
)

// KeyAlgorithms lists what a CA key may be, in the order of the help texts.
var KeyAlgorithms = []KeyAlgorithm{ECP256, ECP384, ECP521, RSA2048, RSA3072, RSA4096, RSA8192, Ed25519, MLDSA44, MLDSA65, MLDSA87}

// ParseKeyAlgorithm returns the algorithm called s, upper or lower case. It
// is KindInvalid, naming the choices, for any other.
func ParseKeyAlgorithm(s string) (KeyAlgorithm, error) {
	names := make([]string, len(KeyAlgorithms))
	for i, a := range KeyAlgorithms {
		if strings.EqualFold(string(a), s) {
			return a, nil
		}
		names[i] = string(a)
	}
	return "", Errorf(KindInvalid, "key algorithm %q is not one of %s", s, strings.Join(names, ", "))
}

// Names of the key stores.
const (
	StoreSoftware = "software"
	StorePKCS11   = "pkcs11"
)

// KeyRef says where a private key lives: the key store's name, the key's
// identifier in it, and the algorithm. The key itself never leaves the store.
type KeyRef struct {
	Store     string
	ID        string
	Algorithm KeyAlgorithm
}
