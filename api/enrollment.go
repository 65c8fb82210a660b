// SPDX-License-Identifier: MIT

package api

// EnrollmentAsk is a device's request for a certificate.
type EnrollmentAsk struct {
	CSR string `json:"csr" doc:"PKCS #10 certification request in PEM, 64 KiB at most"`
}

// Enrollment is what a device gets.
type Enrollment struct {
	Certificate string `json:"certificate" doc:"PEM"`
	Chain       string `json:"chain" doc:"the certificates of its CA up to the root, PEM"`
}

// EnrollmentWait tells a device to send the same request again.
type EnrollmentWait struct {
	RetryAfter int    `json:"retry_after" doc:"seconds, as in the header Retry-After" example:"5"`
	Detail     string `json:"detail"`
}
