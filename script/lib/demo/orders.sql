-- One transaction of the shop: some new orders, changes of recent ones, a deletion now and then.
\set customer random(1, 10000)
\set recent random(0, 3000)
\set other random(0, 3000)
\set old random(0, 3000)
BEGIN;
INSERT INTO orders (customer_id, quantity, amount, tax_rate, weight_kg, note)
SELECT :customer, i, round((random() * 500)::numeric, 2), 0.2, random() * 30, 'order of ' || :customer
FROM generate_series(1, 3) i;
UPDATE orders SET status = 'paid' WHERE order_id = (SELECT max(order_id) FROM orders) - :recent;
UPDATE orders SET status = 'shipped', shipped_on = current_date, signature = decode(md5(:other::text), 'hex')
WHERE order_id = (SELECT max(order_id) FROM orders) - :other;
DELETE FROM orders WHERE order_id = (SELECT max(order_id) FROM orders) - :old;
UPDATE customers SET credit_limit = credit_limit + 1, address = address || '{"seen": true}' WHERE customer_id = :customer;
END;
