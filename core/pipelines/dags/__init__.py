"""The folder of DAGs for Apache Airflow."""
