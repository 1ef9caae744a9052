-- FreePBX (MySQL, MariaDB): mysql --batch asterisk < freepbx.sql > freepbx.tsv
-- The settings of chan_sip and chan_pjsip extensions are rows of the table sip.
SELECT d.id AS extension,
       d.tech,
       d.description AS name,
       MAX(CASE WHEN s.keyword = 'username' THEN s.data END) AS username,
       MAX(CASE WHEN s.keyword = 'secret' THEN s.data END) AS secret,
       MAX(CASE WHEN s.keyword = 'md5_cred' THEN s.data END) AS md5_cred
  FROM devices AS d
  JOIN sip AS s ON s.id = d.id
 WHERE d.tech IN ('sip', 'pjsip')
 GROUP BY d.id, d.tech, d.description
 ORDER BY d.id;
