// Loop is what campaign is measured against: one goroutine that takes each from and to of a CSV file through
// phonenumbers' Parse and IsPossible, and counts those that pass.
package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/nyaruka/phonenumbers/v2"
)

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	rows := csv.NewReader(file)
	rows.ReuseRecord = true
	possible := 0
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, value := range row[:2] {
			number, err := phonenumbers.Parse(value, "ZZ")
			if err == nil && phonenumbers.IsPossibleNumber(number) {
				possible++
			}
		}
	}
	fmt.Println(possible, "possible numbers")
}
