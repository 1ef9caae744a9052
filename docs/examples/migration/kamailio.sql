-- Kamailio: mysql --batch kamailio < kamailio.sql > subscriber.tsv
--       or: psql --csv kamailio < kamailio.sql > subscriber.csv
SELECT username, domain, password, ha1, ha1b, email_address
  FROM subscriber
 ORDER BY domain, username;
