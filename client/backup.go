package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Backup writes a backup of everything that the server keeps to w, sealed as it is there. It is whole only when its end
// says so: heliograph restore --check FILE tells.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	slow := *c
	patient := *c.http
	patient.Timeout = 0 // ctx bounds it: it may be any size
	slow.http = &patient
	response, err := slow.send(ctx, call{method: http.MethodGet, path: "/control/v1/backup"})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("GET /control/v1/backup: read the answer: %w", err)
		}
		return errorOf(response, body)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("GET /control/v1/backup: %w", err)
	}
	return nil
}
