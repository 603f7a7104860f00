#!/bin/bash
# A small bakery's files: orders, recipes, invoices, logs of two ovens.
set -e
mkdir -p /bakery/orders/2024 /bakery/orders/2025 /bakery/recipes/bread /bakery/recipes/cake /bakery/invoices /bakery/logs /bakery/scripts
cd /bakery

cat > orders/2024/spring.csv <<'DATA'
customer,item,number,price
Mira,rye loaf,2,4.50
Tomas,poppy roll,12,0.80
Mira,carrot cake,1,18.00
Ines,rye loaf,1,4.50
DATA
cat > orders/2024/autumn.csv <<'DATA'
customer,item,number,price
Jonas,plum cake,1,21.00
Ines,poppy roll,6,0.80
Ines,spelt loaf,3,5.20
DATA
cat > orders/2025/spring.csv <<'DATA'
customer,item,number,price
Tomas,spelt loaf,1,5.20
Aiko,carrot cake,2,18.00
Mira,poppy roll,20,0.80
Jonas,rye loaf,4,4.50
Aiko,rye loaf,1,4.50
DATA

printf 'Rye loaf\nflour: rye 500 g\nwater: 400 ml\nsalt: 10 g\nbake: 55 min\n' > recipes/bread/rye.txt
printf 'Spelt loaf\nflour: spelt 450 g\nwater: 320 ml\nsalt: 9 g\nbake: 45 min\n' > recipes/bread/spelt.txt
printf 'Poppy roll\nflour: wheat 300 g\nmilk: 180 ml\npoppy: 40 g\nbake: 18 min\n' > recipes/bread/poppy.txt
printf 'Carrot cake\nflour: wheat 250 g\nsugar: 200 g\ncarrot: 300 g\nbake: 50 min\nTODO weigh the nuts\n' > recipes/cake/carrot.txt
printf 'Plum cake\nflour: wheat 280 g\nsugar: 160 g\nplum: 600 g\nbake: 40 min\n' > recipes/cake/plum.txt
: > recipes/cake/cherry.txt

for number in 101 102 103 104; do
    printf 'Invoice %s\nTotal: %s.00\nPaid: %s\n' "$number" "$((number - 80))" "$( ((number % 2)) && echo yes || echo no)" > "invoices/invoice_$number.txt"
done
cp invoices/invoice_103.txt invoices/copy_of_103.txt

{
    for minute in 05 10 15 20 25 30; do
        printf '06:%s oven=1 temperature=%s\n' "$minute" "$((180 + 10#$minute))"
        printf '06:%s oven=2 temperature=%s\n' "$minute" "$((200 + 10#$minute))"
    done
    printf '06:31 oven=2 ERROR door open\n06:32 oven=2 ERROR door open\n06:40 oven=1 WARN slow fan\n'
} > logs/morning.log
printf '18:00 oven=1 temperature=90\n18:05 oven=1 ERROR no flame\n18:10 oven=2 temperature=60\n' > logs/evening.log
touch -d '2020-02-01 08:00' logs/old.log

printf '#!/bin/bash\n# prints the date of the next delivery\necho monday\n' > scripts/delivery.sh
printf '#!/bin/bash\necho open\n' > scripts/open.sh
chmod 755 scripts/open.sh
printf 'flour\nsugar\nflour\nyeast\nsalt\nsugar\nflour\n' > shopping.txt
printf 'password=sourdough\n' > .till
chmod 600 .till
