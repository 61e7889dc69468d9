// Service has version 1 of phonenumbers beside version 2, which callparams needs. It asks version
// 1 and callparams about each number that it is given.
package main

import (
	"errors"
	"fmt"
	"os"

	"example.com/callparams"
	"github.com/nyaruka/phonenumbers"
)

func main() {
	for _, number := range os.Args[1:] {
		fmt.Printf("%s | %s\n", version1(number), ours(number))
	}
}

// version1 returns what version 1 reads in number.
func version1(number string) string {
	n, err := phonenumbers.Parse(number, "")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s, region %s, valid %t",
		phonenumbers.Format(n, phonenumbers.INTERNATIONAL),
		phonenumbers.GetRegionCodeForNumber(n), phonenumbers.IsValidNumber(n))
}

// ours returns the verdict of callparams on number.
func ours(number string) string {
	_, err := callparams.Parser{Numbers: callparams.Assigned}.ParseTo(number)
	if err == nil {
		return "accepted"
	}
	var refused *callparams.Error
	if !errors.As(err, &refused) {
		return err.Error()
	}
	text := string(refused.Problems[0].Rule)
	if fix, ok := refused.Problems[0].Fix(); ok {
		text += ", fix " + fix
	}
	return text
}
