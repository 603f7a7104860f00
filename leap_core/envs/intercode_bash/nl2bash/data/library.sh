#!/bin/bash
# A village library's files: a catalogue, members, loans, scanned pages, mail.
set -e
mkdir -p /library/catalogue /library/members /library/loans /library/scans/a /library/scans/b /library/mail/inbox /library/mail/sent /library/tmp
cd /library

cat > catalogue/books.txt <<'DATA'
0001|The Quiet Harbour|Lindqvist|1962|novel
0002|Stars for Beginners|Okafor|1999|science
0003|A Book of Knots|Fischer|1948|craft
0004|Harbour Lights|Marsh|2004|novel
0005|Bread and Salt|Novak|1987|cooking
0006|The Long Winter Garden|Okafor|2011|novel
0007|Counting Birds|Sato|1975|science
0008|Salt Marsh Walks|Lindqvist|1993|travel
DATA
printf 'novel\nscience\ncraft\ncooking\ntravel\n' > catalogue/kinds.txt

printf 'name: Bruno\ncity: Lund\nbooks: 3\n' > members/m01.txt
printf 'name: Carla\ncity: Malmo\nbooks: 0\n' > members/m02.txt
printf 'name: Dmitri\ncity: Lund\nbooks: 1\n' > members/m03.txt
printf 'name: Esther\ncity: Ystad\nbooks: 5\n' > members/m04.txt
printf 'name: Farid\ncity: Lund\nbooks: 0\n' > members/m05.txt

printf '2025-01-03 m01 0004 out\n2025-01-05 m04 0002 out\n2025-01-09 m01 0004 in\n2025-01-12 m03 0007 out\n2025-01-12 m01 0001 out\n' > loans/january.log
printf '2025-02-01 m04 0005 out\n2025-02-02 m03 0007 in\n2025-02-20 m04 0002 in\n' > loans/february.log

for page in 1 2 3; do
    printf 'page %s of the old map book\n' "$page" > "scans/a/page$page.txt"
done
printf 'page 1 of the old map book\n' > scans/b/page1.txt
printf 'page 9, torn\n' > scans/b/page9.txt
: > scans/b/page10.txt
: > tmp/lock
printf 'scratch\n' > tmp/notes.tmp
printf 'more scratch\n' > tmp/more.tmp

printf 'From: carla@example.org\nSubject: renewal\n\nPlease renew my card.\n' > mail/inbox/1.eml
printf 'From: bruno@example.org\nSubject: late book\n\nI am sorry, the book is late.\n' > mail/inbox/2.eml
printf 'From: spam@example.com\nSubject: YOU WON\n\nClick here.\n' > mail/inbox/3.eml
printf 'From: library@example.org\nSubject: Re: renewal\n\nDone.\n' > mail/sent/1.eml
printf '#!/bin/bash\necho closed on sunday\n' > hours.sh
printf 'the library opens at nine\nthe library closes at six\nno dogs in the library please\n' > rules.txt
