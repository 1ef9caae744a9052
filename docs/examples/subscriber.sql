-- What `subscriber_table.py` needs beside the columns of the stock table. Leave out what a table has already:
-- OpenSIPS 3.2 and later have the SHA columns, Kamailio 5.6 has ha1b.
ALTER TABLE subscriber ADD COLUMN sip_phone_id CHAR(24);
ALTER TABLE subscriber ADD COLUMN ha1_sha256 CHAR(64) NOT NULL DEFAULT '';
ALTER TABLE subscriber ADD COLUMN ha1_sha512t256 CHAR(64) NOT NULL DEFAULT '';
CREATE INDEX subscriber_sip_phone_id ON subscriber (sip_phone_id);
