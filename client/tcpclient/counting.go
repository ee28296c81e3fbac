package tcpclient

import (
	"context"
	"fmt"
	"io"
	"time"
)

// runCounting sends "data : 0", "data : 1", … one at each interval, the first at once.
func runCounting(cfg config, std streams) error {
	return talk(cfg, std.out, func(ctx context.Context, w io.Writer) error {
		ticker := time.NewTicker(max(cfg.interval, 1))
		defer ticker.Stop()
		for i := 0; cfg.count == 0 || i < cfg.count; i++ {
			if i > 0 && cfg.interval > 0 {
				select {
				case <-ticker.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if _, err := fmt.Fprintf(w, "data : %d\n", i); err != nil {
				return err
			}
		}
		return nil
	})
}
