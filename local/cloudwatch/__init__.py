"""Amazon CloudWatch of the local account: metrics of logs and services, alarms evaluated as on AWS."""
