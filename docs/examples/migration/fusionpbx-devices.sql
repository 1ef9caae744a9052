-- FusionPBX (PostgreSQL): psql --csv fusionpbx < fusionpbx-devices.sql > devices.csv
-- A row for each line of each provisioned device. Until June 2023 device_address was device_mac_address.
SELECT o.domain_uuid,
       o.domain_name,
       d.device_address,
       d.device_description,
       d.device_provisioned_date,
       d.device_enabled,
       l.line_number,
       l.display_name,
       l.auth_id,
       l.user_id,
       l.password,
       l.enabled
  FROM v_device_lines AS l
  JOIN v_devices AS d ON d.device_uuid = l.device_uuid
  JOIN v_domains AS o ON o.domain_uuid = d.domain_uuid
 ORDER BY o.domain_name, d.device_address, l.line_number;
