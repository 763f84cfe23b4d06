package client

import (
	"context"
	"net/http"
)

// Ready returns nil when the server says that it can work. It needs no token.
func (c *Client) Ready(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodGet, path: "/readyz"}, nil)
}
