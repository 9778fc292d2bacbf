#!/bin/bash
# Installs what the layer holds on an instance of Amazon Linux 2023, from /opt/hub-worker, and starts it.
# Called by the launch template's user data with the Python to use and the log group, which has written
# /etc/hub-worker.env. FOLDER stands for / in tests.
set -euo pipefail

python="$1"
log_group="$2"
folder="${FOLDER:-}"
here="$(cd "$(dirname "$0")" && pwd)"

useradd --system --no-create-home --shell /sbin/nologin hub-worker
chown root:hub-worker "$folder/etc/hub-worker.env"
chmod 0640 "$folder/etc/hub-worker.env"

mkdir -p "$folder/opt/hub-worker/bin"
ln -sf "/usr/bin/$python" "$folder/opt/hub-worker/bin/python"
chmod -R go=rX,u+rwX "$folder/opt/hub-worker"
mkdir -p -m 0750 "$folder/var/log/hub-worker"

# The log goes to CloudWatch Logs as it is: JSON lines, those with metrics among them. So does what this script and
# its caller say, in case the worker never starts.
mkdir -p "$folder/opt/aws/amazon-cloudwatch-agent/etc"
cat > "$folder/opt/aws/amazon-cloudwatch-agent/etc/hub-worker.json" <<CONFIGURATION
{
  "agent": {"run_as_user": "root"},
  "logs": {
    "force_flush_interval": 5,
    "logs_collected": {"files": {"collect_list": [
      {"file_path": "/var/log/hub-worker/worker.log", "log_group_name": "$log_group", "log_stream_name": "{instance_id}"},
      {"file_path": "/var/log/cloud-init-output.log", "log_group_name": "$log_group", "log_stream_name": "{instance_id}/start"}
    ]}}
  }
}
CONFIGURATION
"$folder/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl" \
  -a fetch-config -m ec2 -s -c "file:$folder/opt/aws/amazon-cloudwatch-agent/etc/hub-worker.json"

cat > "$folder/etc/logrotate.d/hub-worker" <<ROTATION
/var/log/hub-worker/worker.log {
  size 100M
  rotate 1
  copytruncate
  missingok
}
ROTATION

install -m 0644 "$here/hub-worker.service" "$folder/etc/systemd/system/hub-worker.service"
systemctl daemon-reload
systemctl enable --now hub-worker.service
