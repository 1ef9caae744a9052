-- FusionPBX (PostgreSQL): psql --csv fusionpbx < fusionpbx-extensions.sql > extensions.csv
-- The extensions that no line of a device registers: softphones, and phones configured by hand.
SELECT o.domain_uuid,
       o.domain_name,
       e.extension,
       e.password,
       e.effective_caller_id_name,
       e.description,
       e.enabled
  FROM v_extensions AS e
  JOIN v_domains AS o ON o.domain_uuid = e.domain_uuid
 WHERE NOT EXISTS (
       SELECT 1
         FROM v_device_lines AS l
        WHERE l.domain_uuid = e.domain_uuid
          AND COALESCE(NULLIF(l.auth_id, ''), l.user_id) = e.extension)
 ORDER BY o.domain_name, e.extension;
