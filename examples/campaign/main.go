package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"example.com/callparams"
)

func main() {
	c := campaign{rules: tallies{}, warnings: tallies{}}
	csvName := flag.String("csv", "", "check the CSV `file`, - for standard input")
	ndjsonName := flag.String("ndjson", "", "check the NDJSON `file`, - for standard input")
	outName := flag.String("out", "",
		"write each row with its verdict to `file`, - for standard output;\n"+
			"it shows phone numbers and names in the clear")
	flag.TextVar(&c.parser.Numbers, "numbers", callparams.Possible,
		"check phone numbers at this `level`: shape, possible or assigned")
	flag.BoolVar(&c.parser.Emergency, "emergency", false, "accept emergency numbers")
	flag.TextVar(&c.parser.Destinations, "destinations", callparams.Destinations{},
		"accept only the phone numbers in To that this `list` of prefixes allows,\n"+
			`such as "+1 !+1900"`)
	flag.Usage = usage
	flag.Parse()
	if (*csvName == "") == (*ndjsonName == "") || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "campaign: exactly one of -csv and -ndjson must be given; "+
			"arguments besides flags are not allowed\nRun campaign -h for help.")
		os.Exit(2)
	}

	name := cmp.Or(*csvName, *ndjsonName)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	done := make(chan error)
	go func() { done <- c.run(name, *csvName != "", *outName) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		c.mu.Lock() // once the row in hand is written; no other follows
		err = errors.New("interrupted")
	}
	if c.bar != nil {
		_ = c.bar.Clear()
		if err != nil {
			err = fmt.Errorf("stopped after row %d (line %d): %w", c.rows, c.line, err)
		}
		err = errors.Join(err, c.print(*outName))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "campaign: %s: %v\n", name, err)
		os.Exit(2)
	}
	if c.refused > 0 {
		os.Exit(1)
	}
}

//go:embed doc.go
var doc string

// usage prints the package comment and the flags.
func usage() {
	text, _, _ := strings.Cut(doc, "package main")
	text = strings.ReplaceAll("\n"+text, "\n//", "\n")
	text = strings.ReplaceAll(text, "\n ", "\n")
	fmt.Fprint(flag.CommandLine.Output(), text[1:], "\nFlags:\n\n")
	flag.PrintDefaults()
}

// A campaign checks the rows of a file and counts what it finds.
type campaign struct {
	parser callparams.Parser

	mu              sync.Mutex               // held while a row is checked, written and counted
	bar             *progressbar.ProgressBar // nil before the first write
	rows, refused   int
	line            int // where the last row starts
	rules, warnings tallies
}

// run checks the file called name.
func (c *campaign) run(name string, isCSV bool, outName string) (err error) {
	file := os.Stdin
	if name != "-" {
		if file, err = os.Open(name); err != nil {
			return err
		}
	}
	in, header, err := newInput(file, isCSV)
	if err != nil {
		return err
	}
	out, err := create(cmp.Or(outName, os.DevNull), file)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.bar = newBar(file)
	err = write(out, header)
	c.mu.Unlock()
	for err == nil {
		var r row
		if r, err = in.next(); err == nil {
			c.mu.Lock()
			c.check(&r)
			if err = write(out, r.before+in.encode(r.verdict)+r.after); err == nil {
				c.count(r)
			}
			c.mu.Unlock()
		}
	}
	if errors.Is(err, io.EOF) {
		err = out.Close()
	}
	return err
}

// create opens the file that the rows are written to.
func create(name string, in *os.File) (*os.File, error) {
	source, err := in.Stat()
	if err != nil {
		return nil, err
	}
	target, _ := os.Stat(name) // nil if it does not exist
	if name == "-" {
		target, _ = os.Stdout.Stat()
	}
	if source.Mode().IsRegular() && os.SameFile(source, target) {
		return nil, errors.New("-out is the input file; choose another file")
	}
	if name == "-" {
		return os.Stdout, nil
	}
	return os.Create(name)
}

// write writes the whole row or, if the output is a regular file, nothing.
func write(out *os.File, row string) error {
	n, err := out.WriteString(row)
	if err == nil || n == 0 {
		return err
	}
	end, cutErr := out.Seek(0, io.SeekCurrent)
	if cutErr == nil {
		cutErr = out.Truncate(end - int64(n))
	}
	if cutErr != nil {
		return fmt.Errorf("%w; the output has %d bytes of the next row: %w", err, n, cutErr)
	}
	return err
}

// newBar returns a bar that counts the checked bytes. It is visible only in a terminal.
func newBar(in *os.File) *progressbar.ProgressBar {
	size := int64(-1) // unknown, as for a pipe
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // or it draws over the summary
	)
}
