#!/bin/bash
# An observatory's files: nightly readings, pictures, settings of two telescopes, notes.
set -e
mkdir -p /observatory/nights /observatory/pictures/raw /observatory/pictures/done /observatory/config /observatory/notes /observatory/backup
cd /observatory

cat > nights/march.tsv <<'DATA'
day	star	magnitude	telescope
1	Vega	0.03	north
1	Deneb	1.25	north
2	Altair	0.76	south
3	Vega	0.05	south
3	Rigel	0.13	north
5	Deneb	1.26	south
DATA
cat > nights/april.tsv <<'DATA'
day	star	magnitude	telescope
2	Spica	0.97	south
2	Vega	0.02	north
4	Arcturus	-0.05	north
9	Spica	0.98	north
DATA

for number in 1 2 3 4 5 6; do
    head -c $((number * 700)) /dev/zero | tr '\0' 'x' > "pictures/raw/frame_00$number.dat"
done
cp pictures/raw/frame_001.dat pictures/done/frame_001.dat
cp pictures/raw/frame_002.dat pictures/done/frame_002.dat
printf 'Copies of settings go here.\n' > backup/README
: > pictures/done/failed.dat
printf 'frame_001 Vega\nframe_002 Deneb\nframe_003 Altair\nframe_004 Vega\n' > pictures/index.txt

printf '# telescope in the north\nname=north\nmirror_mm=400\nfocus=12.5\ncooling=on\n' > config/north.conf
printf '# telescope in the south\nname=south\nmirror_mm=250\nfocus=8.1\ncooling=off\n' > config/south.conf
printf 'name=old\nmirror_mm=100\n' > config/retired.conf.bak
chmod 444 config/south.conf

printf 'Cloudy until ten.\nThen clear, Vega very bright.\n\nThe dome squeaks.\n' > notes/march_01.md
printf 'Clear all night.\nSpica and Vega observed.\nThe dome squeaks again.\n' > notes/april_02.md
printf 'Rain.\n' > notes/april_03.md
printf 'Snow, no observation.\n' > notes/february_11.txt
touch -d '2019-06-01 12:00' notes/february_11.txt
printf 'alpha\nbeta\ngamma\ndelta\nepsilon\nzeta\n' > greek.txt
printf '3\n14\n15\n9\n26\n5\n' > numbers.txt
ln -s notes/april_02.md latest.md
