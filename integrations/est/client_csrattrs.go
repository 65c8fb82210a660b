// SPDX-License-Identifier: MIT

package est

import (
	"context"
	"io"
	"net/http"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// CSRAttrs asks what a request should contain (RFC 7030 §4.5, RFC 9908).
// Nothing at all, a 204, and a 404 are the same: the server wants nothing.
func (c *Client) CSRAttrs(ctx context.Context) (pki.CSRAttrs, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+opCSRAttrs, nil)
	if err != nil {
		return pki.CSRAttrs{}, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return pki.CSRAttrs{}, models.Errorf(models.KindUnavailable, "the EST server %s cannot be reached", request.URL.Host).Because(err)
	}
	defer answer.Body.Close() //nolint:errcheck // what was read is read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return pki.CSRAttrs{}, badAnswer("the answer of the EST server broke off").Because(err)
	case answer.StatusCode == http.StatusNoContent || answer.StatusCode == http.StatusNotFound:
		return pki.CSRAttrs{}, nil
	case answer.StatusCode != http.StatusOK:
		return pki.CSRAttrs{}, statusError(answer, body)
	case len(body) > maxAnswer:
		return pki.CSRAttrs{}, badAnswer("the answer of the EST server is larger than %d KiB", maxAnswer>>10)
	case !isType(answer.Header.Values("Content-Type"), typeCSRAttrs):
		return pki.CSRAttrs{}, badAnswer("the answer of the EST server is not %s", typeCSRAttrs)
	}
	wanted, err := decodeCSRAttrs(body)
	if err != nil {
		return pki.CSRAttrs{}, badAnswer("the EST server's CSR attributes cannot be read: %s", models.PublicText(err)).Because(err)
	}
	return wanted, nil
}
